"""The public contract: texts, numbers and shapes, the same for those who serve it and those who
call it.
"""
