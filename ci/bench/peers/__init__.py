"""What our hot route is compared with; each module is run by `yard bench` in a process of its own.

`subject` says which model is served. Nothing here is ever part of an image.
"""
