"""What a person does about a broker's session, in the same words wherever it is shown."""

from alphapanda.domain.ids import Broker


def login_action(broker: Broker) -> str:
    return f"Log in: `alphapanda login --broker {broker}`. Orders wait for it, and nothing is sent meanwhile."
