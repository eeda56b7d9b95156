"""The backtest: the same strategies, risk rules, paper exchange and charges in virtual time, without servers."""
