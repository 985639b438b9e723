"""The state directory: private, complete, and deleted only when it is ours."""

import datetime
import os
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from deploy.local import certificates
from deploy.local.accounts import service_account
from deploy.local.certificates import ensure_certificate
from deploy.local.credentials import keep
from deploy.local.errors import AlreadyRunning, LocalFleetError
from deploy.local.layout import Layout
from deploy.local.status import FleetStatus, is_supervised, read_status, supervision, write_status


def test_credentials_are_drawn_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first, second = keep(path), keep(path)
    assert first == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len({first.superuser, first.erp_app, first.erp_owner, first.redis, first.operator_key}) == 5
    assert min(len(first.erp_app), len(first.token_secret)) >= 32


def test_foreign_directory_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(LocalFleetError, match="not a state directory"):
        Layout(tmp_path).delete()
    assert (tmp_path / "precious.txt").exists()


def test_own_directory_is_deleted_whole(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state")
    layout.create(None)
    layout.delete()
    assert not layout.root.exists()


def test_a_deletion_that_was_interrupted_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "state")
    layout.create(None)

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("deploy.local.layout.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            layout.delete()
    layout.delete()
    assert not layout.root.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands servers to another account")
def test_place_the_servers_cannot_reach_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(LocalFleetError, match="ERP_STATE_DIR"):
        Layout(closed / "state").create(service_account())


def test_second_supervisor_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert not is_supervised(layout)
    with supervision(layout):
        assert is_supervised(layout)
        with pytest.raises(AlreadyRunning), supervision(layout):
            pytest.fail("two supervisors on one state directory")
    assert not is_supervised(layout)


def test_status_survives_writing_and_reading(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert read_status(layout) is None
    status = FleetStatus(phase="running", pid=1, url="https://localhost", started=1.5, notes=("no nginx",))
    write_status(layout, status)
    assert read_status(layout) == status


def test_certificate_is_trusted_by_its_authority_only_and_renewed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "authority.pem"
    ensure_certificate(*files)
    first = files[0].read_bytes()
    ensure_certificate(*files)
    assert files[0].read_bytes() == first
    leaf, root = (x509.load_pem_x509_certificate(files[at].read_bytes()) for at in (0, 2))
    leaf.verify_directly_issued_by(root)
    ssl.create_default_context(cafile=str(files[2])).load_cert_chain(files[0], files[1])
    monkeypatch.setattr(certificates, "RENEW_BEFORE", certificates.LIFETIME + datetime.timedelta(days=1))
    ensure_certificate(*files)
    assert files[0].read_bytes() != first
