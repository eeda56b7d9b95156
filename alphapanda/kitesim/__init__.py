"""A local stand-in for Zerodha: Kite's REST calls, ticks, order updates, postbacks and login, with faults on demand.

It is written from Kite's published behaviour and shares no code with the Zerodha adapter, so that one misreading is
not made on both sides. Money here is invented; prices walk at random or follow what they are fed.
"""
