"""What a killed emulator leaves in memory: the next one removes it, and nothing of one that lives."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from orchestrator.emulator.database_engine.data_folder import create_data_folder, remove_abandoned

HOLD_FOLDER = """
import sys; from pathlib import Path
from orchestrator.emulator.database_engine.data_folder import create_data_folder
folder, lock = create_data_folder(Path(sys.argv[1])); (folder / 'rows').mkdir()
print(folder, flush=True); sys.stdin.read()
"""


def test_only_the_folder_of_a_dead_emulator_is_removed(tmp_path: Path) -> None:
    """By its lock, not by its process id, which the system gives to somebody else."""
    stranger = tmp_path / "orchestrator-rds-notes.txt"
    stranger.write_text("kept")
    emulator = subprocess.Popen(
        [sys.executable, "-c", HOLD_FOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert emulator.stdout is not None
    folder = Path(emulator.stdout.readline().strip())
    impostor = tmp_path / "orchestrator-rds-1-locked"  # process 1 always lives
    folder_of_living, lock = create_data_folder(tmp_path)
    assert remove_abandoned(tmp_path) == []

    emulator.send_signal(signal.SIGKILL)
    emulator.communicate()
    impostor.mkdir()
    (impostor / "lock").touch()

    assert set(remove_abandoned(tmp_path)) == {folder, impostor}
    assert sorted(tmp_path.iterdir()) == sorted([stranger, folder_of_living])
    lock.close()


def test_a_folder_without_lock_belongs_to_its_process(tmp_path: Path) -> None:
    """An emulator that is just starting has none yet; earlier versions never had one."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    starting, dead = tmp_path / "orchestrator-rds-1-a", tmp_path / f"orchestrator-rds-{process.pid}-b"
    starting.mkdir()
    dead.mkdir()

    assert remove_abandoned(tmp_path) == [dead]
    assert starting.exists()
