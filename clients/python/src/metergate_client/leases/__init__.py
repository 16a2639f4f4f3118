"""Leases: capacity that is held here and spent without a call.

``machine`` decides, without I/O, threads or a clock of its own; ``holder`` (threads) and ``aio`` (asyncio) drive it.
What it does is written down in ``clients/README.md``, which the clients of other languages follow.
"""
