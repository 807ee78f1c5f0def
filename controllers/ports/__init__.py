"""What the outside must provide: protocols for durable state, live views and the control plane.

``cluster`` implements the stores, ``actors`` the control plane and the live view; edges and actors
see these protocols only. Errors are of the kernel's family.
"""
