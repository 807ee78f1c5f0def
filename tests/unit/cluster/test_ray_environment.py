"""What is arranged around Ray: its folder, its environment, where it prints."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cluster.ray_environment import RAY_LINK, ray_environment, ray_folder
from tests.support.waiting import wait_until


def test_the_folder_leads_to_the_home_and_goes_away(tmp_path: Path) -> None:
    with ray_folder(tmp_path / "ray") as folder:
        (folder / RAY_LINK / "session_latest").touch()
        # HAProxy's sockets lie 70 characters below, and may have 97.
        assert len(str(folder)) <= 27
    assert not folder.exists()
    assert (tmp_path / "ray" / "session_latest").exists()


def test_what_a_killed_park_left_goes_at_the_next_start(tmp_path: Path) -> None:
    with ray_folder(tmp_path) as folder:
        left = folder.rename(folder.with_name(f"{folder.name}x"))
    (tmp_path / "folder").symlink_to(left)
    (left / "admin.sock").touch()
    with ray_folder(tmp_path):
        assert not left.exists()
    assert tmp_path.exists()
    assert not (tmp_path / "folder").is_symlink()


def test_the_logs_of_the_last_session_only_are_kept(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        (tmp_path / f"session_2026-01-0{day}_x").mkdir()
    with ray_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["session_2026-01-03_x"]


def test_output_goes_to_the_file_and_then_comes_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = f"""
        import os
        from pathlib import Path
        from cluster.ray_environment import output_in
        with output_in(Path({str(tmp_path / "ray.log")!r})):
            os.write(1, b"from a child\\n")
            print("from a thread")
        print("back")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "back\n"
    assert (tmp_path / "ray.log").read_text() == "from a child\nfrom a thread\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the tie is a Linux one")
def test_the_ingress_ends_with_whoever_started_it(tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text(
        "defaults\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
        f"frontend f\n mode http\n bind unix@{tmp_path / 's'}\n"
    )
    binary = ray_environment(tmp_path)["RAY_SERVE_HAPROXY_BINARY_PATH"]
    script = f"""
        import subprocess, time
        child = subprocess.Popen([{binary!r}, "-db", "-f", {str(tmp_path / "haproxy.cfg")!r}])
        print(child.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child_id = int(parent.stdout.readline())
    wait_until((tmp_path / "s").exists, within_s=20.0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: is_gone(child_id), within_s=10.0)


def is_gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    # An orphan that nobody has reaped yet is gone all the same.
    return Path(f"/proc/{process_id}/stat").read_text().split()[2] == "Z"
