"""A mount of a running endpoint, and the programs that use it."""

import json
import subprocess
import time

from harness import PATIENCE, PROGRAM, REGION, aws_environment, peak_memory


class Mount:
    """A mount of an endpoint, with the vault "v" in it. `settings` are options of `glacierfs mount` without their dashes."""

    def __init__(self, endpoint, directory, environment=None, **settings):
        self.endpoint, self.path, self.state = endpoint, directory / "mnt", directory / "state"
        self.path.mkdir()
        self.environment = aws_environment(endpoint.data) | (environment or {})
        own = {"name": "test", "region": REGION, "endpoint": endpoint.url, "state": self.state, "upload_delay": "0"}
        options = [f"--{key.replace('_', '-')}={value}" for key, value in (own | settings).items()]
        self.glacierfs("mount", "--daemon", *options, "--log", "info", self.path)
        self.glacier = endpoint.client()
        (self.path / "v").mkdir()

    def glacierfs(self, *arguments, patience=PATIENCE):
        command = [PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=patience)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def publish_to(self, topic):
        """Has the vault tell a topic of jobs that have ended."""
        self.glacierfs("vault", "notify", "v", "set", topic.arn, "--region", REGION, "--endpoint", self.endpoint.url)

    def archive_and_evict(self, path, patience=PATIENCE):
        self.glacierfs("flush", path, patience=patience)
        self.glacierfs("evict", path)

    def jobs(self):
        """The jobs of the vault, by ID."""
        return {job["JobId"]: job for job in self.glacier.list_jobs(vaultName="v")["JobList"]}

    def status(self):
        return json.loads(self.glacierfs("status", "--json", self.path))

    def memory(self):
        """Most memory that the daemon has had, in MiB."""
        return peak_memory(self.status()["pid"]) >> 20

    def log(self):
        return (self.state / "daemon.log").read_text()

    def close(self):
        subprocess.run([PROGRAM, "umount", "--drain", "0", self.path], env=self.environment, timeout=PATIENCE)


def wait_until(is_so, patience=PATIENCE):
    """Waits until `is_so()`, `patience` seconds at most."""
    end = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < end, f"not so after {patience} s"
        time.sleep(0.05)
