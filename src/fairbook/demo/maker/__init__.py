"""The demo's market maker: an ordinary client of the public API (docs/guide/market-maker.md)."""
