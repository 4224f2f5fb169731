"""History follows the log at its own pace, in a process of its own: the two ends of that.

How it works: the lead (lead.py, in the engine's process) tells the recorder, every `TELL_S` or at
once if somebody waits, up to which position the log is durable: 8 bytes, the newest alone. The
recorder (following.py) reads the log's files up to there, applies the frames in an exchange of its
own, writes rows and position in one transaction, and says how far it is: 8 bytes again. So steady
state, catching up and starting from an empty store are one and the same.

Always true:
- nothing here keeps the engine waiting: what it tells and nobody reads gives way to the newest;
- nothing is recorded that is not durable in the log.

Not here: what is recorded (history/recorder.py); keeping the process (children.py).
"""
