"""Several calls at once in one instance: this process hands them to workers, each of which runs one at a time.

A worker is a fork of this process, which has loaded the handler, where nothing is shared by that which must not be:
no other thread, no connection. Else it is an interpreter of its own that loads the handler itself, as on AWS. Workers
are made when there is a call for them, and kept. A call that is given up ends with its worker, and so does one whose
worker ends; all others go on.

What a worker prints goes out line by line, each after the id of its call. What its child processes print does not.
"""

import _signal
import _socket
import gc
import io
import os
import select
import sys
import time

import __main__ as own

CANCEL = 3
# A worker that does not read its call, or does not end, for so long is killed.
PATIENCE_MS = 1000
LARGEST = own.PAYLOAD_BYTES + 1024
HEAD = 5
# As the platform starts it (`runtimes/src/plan`).
INTERPRETER = ("-S", "-B", "-X", "utf8")


class Worker:
    """A process, our end of its socket, and what it works on."""

    def __init__(self, pid, fd):
        self.pid, self.fd, self.call, self.said = pid, fd, None, bytearray()


class Crowd:
    """All workers of this instance."""

    def __init__(self, runtime, handler):
        self.runtime, self.handler, self.channel = runtime, handler, runtime.channel
        self.workers, self.idle, self.calls = {}, [], {}
        self.forks = is_alone(runtime.channel.fd)
        if self.forks:
            gc.freeze()  # a collection in a worker would otherwise copy all of this
        self.poll = select.poll()
        self.poll.register(self.channel.fd, select.POLLIN)

    def serve(self):
        """Serves until the platform hangs up. Returns in forked workers only."""
        while True:
            for fd, _ in self.poll.poll():
                if fd in self.workers:
                    self.hear(self.workers[fd])
                elif fd == self.channel.fd and self.take():
                    return

    def take(self):
        """Acts on what the platform says. Returns whether this is a new worker."""
        while True:
            data, end = self.channel.any_frame()
            if data[4] == own.INVOKE:
                if self.begin(data, end):
                    return True
            elif data[4] == CANCEL:
                self.cancel(str(data[HEAD:end], "utf-8"))
            else:
                raise RuntimeError("unknown frame kind %d" % data[4])
            if not self.channel.rest:
                return False

    def begin(self, data, end):
        split = HEAD + 4 + int.from_bytes(data[HEAD : HEAD + 4], "little")
        call = self.runtime.decode(str(data[HEAD + 4 : split], "utf-8"))["id"]
        frame = memoryview(data)[:end]
        while self.idle:
            worker = self.idle.pop()
            if self.hand(worker, call, frame):
                return False
            self.bury(worker)  # it has ended since its last call
        worker = self.hire()
        if worker is None:
            return True
        if not self.hand(worker, call, frame):
            worker.call = call
            self.lose(worker)
        return False

    def hand(self, worker, call, frame):
        """Sends a call whole. A worker that waits for one reads at once."""
        sending = select.poll()
        sending.register(worker.fd, select.POLLOUT)
        done = 0
        while done < len(frame):
            if not sending.poll(PATIENCE_MS):
                return False
            try:
                done += os.write(worker.fd, frame[done:])
            except BlockingIOError:
                pass
            except OSError:
                return False
        worker.call, self.calls[call] = call, worker
        return True

    def hire(self):
        """A new worker; `None` in that worker itself."""
        ours, theirs = (end.detach() for end in _socket.socketpair())
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            for fd in self.workers:
                os.close(fd)
            self.become_worker(theirs)
            return None
        os.close(theirs)
        os.set_blocking(ours, False)
        worker = self.workers[ours] = Worker(pid, ours)
        self.poll.register(ours, select.POLLIN)
        return worker

    def become_worker(self, fd):
        os.setpgid(0, 0)
        if self.forks:
            self.channel.adopt(fd)
            from _dayfly_template import reseed

            reseed()
            name_output(self.runtime)
            return
        os.dup2(fd, own.SOCKET_FD)
        os.set_inheritable(own.SOCKET_FD, True)
        os.execv(sys.executable, [sys.executable, *INTERPRETER, own.__file__, "worker"])

    def hear(self, worker):
        try:
            data = os.read(worker.fd, own.READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lose(worker)
            return
        said = worker.said
        said += data
        while len(said) >= HEAD:
            end = HEAD + int.from_bytes(said[:4], "little")
            if end > LARGEST:
                kill(worker)
                self.lose(worker)
                return
            if len(said) < end:
                return
            frame = bytes(said[:end])
            del said[:end]
            if not self.pass_on(worker, frame):
                kill(worker)
                self.lose(worker)
                return

    def pass_on(self, worker, frame):
        """Passes on what a worker said. Returns whether it may go on."""
        kind = frame[4]
        if kind == own.LOG:
            self.channel.write(frame)
        elif kind in (own.RESPONSE, own.ERROR):
            call = worker.call
            if call is None or frame[HEAD + 1 : HEAD + 1 + frame[HEAD]] != call.encode():
                return False
            self.channel.write(frame)
            self.forget(worker)
            self.idle.append(worker)
        elif kind == own.INIT_ERROR:
            if worker.call is not None:
                self.channel.answer(own.ERROR, worker.call.encode(), frame[HEAD:])
                self.forget(worker)
            return False
        return True

    def forget(self, worker):
        self.calls.pop(worker.call, None)
        worker.call = None

    def cancel(self, call):
        """Ends a call with its worker. One that was answered meanwhile needs nothing."""
        worker = self.calls.get(call)
        if worker is not None:
            kill(worker)
            self.bury(worker)
            self.forget(worker)
            self.channel.answer(own.ERROR, call.encode(), b"{}")

    def lose(self, worker):
        """A worker has ended, or must: its call fails as if it had had the instance for itself."""
        status, call = self.bury(worker), worker.call
        if call is None:
            return
        self.forget(worker)
        if os.WIFSIGNALED(status):
            how = "signal: " + (_signal.strsignal(os.WTERMSIG(status)) or "unknown").lower()
        else:
            how = "exit status %d" % os.WEXITSTATUS(status)
        ended = "exited without providing a reason" if status == 0 else "exited with error: " + how
        text = "RequestId: %s Error: Runtime %s" % (call, ended)
        self.channel.log("%s\nRuntime.ExitError" % text)
        error = {"errorType": "Runtime.ExitError", "errorMessage": text}
        self.channel.answer(own.ERROR, call.encode(), self.runtime.encode(error).encode("utf-8"))

    def bury(self, worker):
        """Ends what is left of a worker. Returns how it ended."""
        self.poll.unregister(worker.fd)
        os.close(worker.fd)
        del self.workers[worker.fd]
        if worker in self.idle:
            self.idle.remove(worker)
        for _ in range(PATIENCE_MS // 10):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.001)
        else:
            kill(worker)
            _, status = os.waitpid(worker.pid, 0)
        kill(worker)  # what it has started
        return status


def kill(worker):
    try:
        os.killpg(worker.pid, _signal.SIGKILL)
    except OSError:
        pass  # nothing is left of it


def is_alone(channel_fd):
    """Whether copies of this process share nothing that they must not."""
    if len(os.listdir("/proc/self/task")) > 1:
        return False
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd != channel_fd:
            try:
                kind = os.readlink("/proc/self/fd/%d" % fd)
            except OSError:
                continue
            if kind.startswith(("socket:", "pipe:", "anon_inode:")):
                return False
    return True


class Printed(io.RawIOBase):
    """One stream of a worker: whole lines become log records."""

    def __init__(self, channel, fd):
        self.channel, self.fd, self.rest = channel, fd, b""

    def writable(self):
        return True

    def fileno(self):
        return self.fd

    def write(self, data):
        *lines, self.rest = (self.rest + bytes(data)).split(b"\n")
        for line in lines:
            self.channel.log(str(line, "utf-8", "backslashreplace"))
        if len(self.rest) >= own.LOG_BYTES:
            self.finish()
        return len(data)

    def finish(self):
        """Lets go of a line that has not ended."""
        if self.rest:
            line, self.rest = self.rest, b""
            self.channel.log(str(line, "utf-8", "backslashreplace"))


def name_output(runtime):
    """From now on, all that this process says names its call."""
    channel, log = runtime.channel, runtime.channel.log
    named = lambda text: log(text if runtime.request_id in text else "%s\t%s" % (runtime.request_id, text))
    channel.log = named
    streams = [Printed(channel, 1), Printed(channel, 2)]
    texts = [
        io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True) for raw in streams
    ]
    sys.stdout, sys.stderr = texts

    def finish():
        own.flush()
        for text, raw in zip(texts, streams):
            try:
                text.flush()
                raw.finish()
            except (OSError, ValueError):
                pass  # the user's code closed it

    runtime.finish = finish


def serve(runtime, handler, imports):
    """Hands calls to workers for good. Returns in workers, which serve them."""
    runtime.channel.send(own.READY, imports)
    Crowd(runtime, handler).serve()
