"""Programs that speak to vendors' libraries, each in a process of its own.

They crash, they leak and their licences are not ours; so nothing of qpgaze is imported here, and
nothing here is imported by qpgaze. ``python path/to/vendor NAME OPTIONS`` runs one, on whatever
Python has the library: only it and the standard library are needed. Lines of JSON go both ways
through the standard streams; what they mean stands in ``pipe.py``.
"""
