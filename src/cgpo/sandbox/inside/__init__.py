"""The code that runs inside the sandbox, in another interpreter: only the standard library, Python 3.9 or later.

Three processes take part in a run. The *zygote* never reads a program or a test; it forks the other two. The
*program's* process holds the program and never sees a test: it answers calls. The *tester's* process holds the tests
and compares, in its own interpreter, the plain values that come back. So neither an exit code, nor printed output, nor
a patched builtin, nor an object that equals everything reaches the comparison. A program that is a script gets one
more process for each input, and the tester compares what it prints.
"""
