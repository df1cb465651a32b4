"""The service: one asyncio process that keeps the box as its confirmed file wants it, woken by events only."""
