"""Programs that mean harm. Each defines `f`, and is right only if `f(1)` gives 2, which it does if its attack succeeds,
unless it says otherwise. Capitals in braces are filled in by the tests: places and secrets of this machine.
"""
