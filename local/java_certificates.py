"""Writes the authorities that this machine's Python trusts for a Java that has only its own: `... FILE.p12`.

A Java of the system trusts what the system trusts; one that came as a package does not know, say, the authority of a
company's proxy.
"""

import ssl
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore


def trust_store() -> bytes:
    """The authorities as a PKCS #12 file without a password."""
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    certificates = [
        PKCS12Certificate(x509.load_der_x509_certificate(one), str(number).encode())
        for number, one in enumerate(trusted)
    ]
    return serialize_java_truststore(certificates, NoEncryption())


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(trust_store())
