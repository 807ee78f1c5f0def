"""Delivers notices of alarms: webhook, e-mail, MQTT; bounded, retried, and only to where it may."""
