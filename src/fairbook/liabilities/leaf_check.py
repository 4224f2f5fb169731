"""What a user checks: that each leaf leads to the signed root, and no sum is wrong on the way.

Nothing of the exchange is trusted but its key. What is missing shows to the user alone: a balance
that has no leaf here was left out.
"""

from collections.abc import Sequence

from fairbook.liabilities.sum_tree import ProofWrong, root_of
from fairbook.ports.liabilities import Leaf, SignedTotals


def check_leaves(totals: SignedTotals, leaves: Sequence[Leaf]) -> None:
    """Raises ProofWrong at the first thing that is wrong. totals: of a note whose signature has
    been checked. leaves: all those of one account.
    """
    known = {each.name: each for each in totals.assets}
    if len({leaf.account for leaf in leaves}) > 1:
        raise ProofWrong("the leaves are not of one account")
    if len({leaf.asset for leaf in leaves}) != len(leaves):
        raise ProofWrong("an asset has two leaves of one account")
    for leaf in leaves:
        asset = known.get(leaf.asset)
        if asset is None:
            raise ProofWrong(f"{leaf.asset}: the signed note does not have this asset")
        try:
            root, total = root_of(leaf, asset.leaves)
        except ProofWrong as problem:
            raise ProofWrong(f"{leaf.asset}: {problem}") from None
        if total != asset.total:
            raise ProofWrong(
                f"{leaf.asset}: the path adds up to {total} atoms, the signed total is"
                f" {asset.total}"
            )
        if root != asset.root:
            raise ProofWrong(f"{leaf.asset}: the path does not lead to the signed root")
