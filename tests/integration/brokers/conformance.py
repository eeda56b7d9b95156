"""What every broker adapter must do, as one test class; a broker passes by subclassing it.

To add a broker:

1. Make a `ConformanceDesk` (`conformance_desk.py`) of it: an empty account behind the real adapter, against
   the broker's sandbox or a simulator that speaks its protocol over the wire, never a mock of the adapter's parts.
   It has to move the market (`trade`), make `Trouble` and `calm` it, kill the session and hand out request tokens.
2. Say in `cannot` which `Trouble` the broker cannot be put in, and why: those tests are skipped with these words.
3. In `test_conformance_<broker>.py` write a fixture `desk` that yields the desk with its adapter's `run()` running,
   and `class TestMyBroker(BrokerConformance)` with nothing in it. Run it: every name here is now a promise kept.
4. A test that fails tells of something the desk above relies on. Where the broker truly differs, the adapter makes
   up for it; where that is impossible, the protocol is to be discussed, not the test to be overridden.
5. What only this broker has (its words, its rows, its outcome table) is tested beside the adapter, not here.

The parts: `OrderConformance` and `ChangeConformance` for what orders do while all goes well, `TroubleConformance` for
what is known when something goes wrong.
"""

from tests.integration.brokers.conformance_changes import ChangeConformance
from tests.integration.brokers.conformance_orders import OrderConformance
from tests.integration.brokers.conformance_trouble import TroubleConformance


class BrokerConformance(OrderConformance, ChangeConformance, TroubleConformance):
    """Needs a fixture `desk` that yields a `ConformanceDesk`."""
