"""Ray shells around live state: a mailbox, a clock, a checkpoint and a name for a controller.

Actor classes carry no decorator and can be built without Ray. Only ``actors.runtime`` imports
``ray``; only ``actors.links`` speaks MQTT. No decision is taken here.
"""
