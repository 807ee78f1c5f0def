"""The edge towards people and programs: REST, WebSocket and the live page.

Routes translate and authorise; they do not decide. They reach live state through
``actors.handles`` and their own subscribed snapshot, never through the optimizer or the database
of another part.
"""
