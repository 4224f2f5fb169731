"""The demo's market maker: an ordinary API client (docs/guide/market-maker.md)."""
