"""Measurements that ship with the exchange; `./dev bench NAME` runs one."""
