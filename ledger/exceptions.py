"""Names what the ledger refuses."""


class LedgerError(Exception):
    """Base of every refusal of the ledger."""


class UnknownCurrency(LedgerError, ValueError):
    """The currency is not one we keep books in."""


class CurrencyMismatch(LedgerError, ValueError):
    """Two amounts of different currencies met where one currency is needed."""


class UnbalancedTransaction(LedgerError):
    """Debits and credits of a ledger transaction differ in a currency, or entries are missing."""


class BooksDoNotBalance(LedgerError):
    """Debits and credits of all accounts differ: no statement is made of such books."""


class MixedKinds(LedgerError):
    """A ledger transaction touches memo and real accounts at once."""


class AlreadyPosted(LedgerError):
    """This source has already been posted under this rule, or this transaction already reversed."""


class OutsideTransaction(LedgerError):
    """The books were to be written without the database transaction of what they describe."""
