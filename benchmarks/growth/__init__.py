"""How cost grows: `python -m benchmarks growth`, D-Chat alone, a curve for each thing there can be more of.

command.py   the command and its list of curves        turns.py   measuring many places in turns; a straight line
town.py      a D-Chat of its own for each place        record.py  the chapter, the picture and the data
streams.py  rooms.py  workers.py  memberships.py  masters.py      the curves
"""
