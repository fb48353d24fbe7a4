"""fakesnow as a server: prints its address and a private key as JSON, and ends when its input does.

Runs in an environment of its own. The key is new each time, and lets nobody in anywhere.
"""

import json
import sys

import fakesnow  # type: ignore[import-not-found]
import snowflake.connector  # type: ignore[import-not-found]
from cryptography.hazmat.primitives.asymmetric import rsa  # type: ignore[import-not-found]
from cryptography.hazmat.primitives.serialization import (  # type: ignore[import-not-found]
    Encoding,
    NoEncryption,
    PrivateFormat,
)

if __name__ == "__main__":
    whole = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = "".join(line for line in whole.decode().splitlines() if not line.startswith("-"))
    with fakesnow.server() as where:
        cursor = snowflake.connector.connect(**where).cursor()
        cursor.execute("CREATE DATABASE IF NOT EXISTS HEADRACE")
        cursor.execute("CREATE SCHEMA IF NOT EXISTS HEADRACE.PUBLIC")
        print(json.dumps({"url": f"http://{where['host']}:{where['port']}", "key": key}), flush=True)  # noqa: T201
        sys.stdin.read()
