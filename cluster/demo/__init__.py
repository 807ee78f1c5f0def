"""The demo park: simulated devices that speak only MQTT, and the physics they obey.

Nothing here decides anything for the park. The simulator knows the wire contract and no more, so
that it keeps the place warm for real devices and proves that the contract suffices.
"""
