"""The types of the context object, under the name that AWS gives them."""

from firelet_runtime.bootstrap import CognitoIdentity, LambdaContext
from firelet_runtime.identity import Client, ClientContext

__all__ = ["Client", "ClientContext", "CognitoIdentity", "LambdaContext"]
