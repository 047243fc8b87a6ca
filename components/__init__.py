"""Sequence FX: from market data to live MetaTrader 5 trading, one room per package.

Rooms import only rooms below them (see `.importlinter`); everything else uses a room through its front, the names in its `__all__`.
"""
