"""What runs inside the sandbox, in another interpreter: the standard library alone, Python 3.9 or later.

Three processes take part in a run. The *zygote* never reads a program or a test; it forks the other two. The
*program's* process holds the program and never sees a test: it answers calls. The *tester's* process holds the tests
and compares, with its own interpreter, the plain values that come back. So neither an exit code, nor a printed word,
nor a patched builtin, nor an object that equals everything reaches the comparison. A program that is a script gets one
process more for each input; what it prints is compared by the tester.
"""
