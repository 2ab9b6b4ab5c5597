"""A private authority, and a certificate of it for one address."""

import subprocess

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def certify(directory, address, authority="Private authority"):
    """Leaves ca.pem, server.pem and server.key in the directory."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True, timeout=60)

    openssl("req", "-x509", *CURVE, "-days", "2", "-subj", f"/CN={authority}", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *CURVE, "-subj", "/CN=palisade", "-keyout", "server.key", "-out", "server.csr")
    (directory / "server.ext").write_text(f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "1", "-extfile", "server.ext", "-out", "server.pem")
