// Commands, unary and streamed.

import assert from "node:assert/strict";
import net from "node:net";
import { after, before, test } from "node:test";
import { Platform, eventually, failure, status } from "./platform.js";

const platform = new Platform();
let sandbox_id;

before(async (t) => {
  sandbox_id = await platform.sandbox({ after: () => {} });
});
after(async () => {
  await platform.call("gateway", "Delete", { sandbox_id });
  platform.close();
});

const sh = (script) => ["sh", "-c", script];
const exec = async (request) => (await platform.call("gateway", "Exec", { sandbox_id, ...request })).result;
const isGone = (file) => exec({ command: sh(`! kill -0 $(cat ${file})`) })
  .then((result) => (result.exit_code === 0 ? true : undefined));

test("one call runs a command and tells both outputs and the code", async () => {
  const result = await exec({ command: ["sh"], args: ["-c", "echo out; echo err >&2; exit 3"] });
  assert.equal(result.stdout.toString(), "out\n");
  assert.equal(result.stderr.toString(), "err\n");
  assert.equal(result.exit_code, 3);
  assert.deepEqual([result.stdout_truncated, result.stdout_bytes_produced], [false, 4]);
});

test("what is kept of the output has a bound, and what was produced is counted", async () => {
  const command = sh("head -c 5000 /dev/zero");
  const kept = await exec({ command, output_handling: "OUTPUT_POLICY_BUFFERED", buffered_max_kib: 1 });
  assert.equal(kept.stdout.length, 1024);
  assert.deepEqual([kept.stdout_truncated, kept.stdout_bytes_produced], [true, 5000]);
  const none = await exec({ command, output_handling: "OUTPUT_POLICY_DISCARD" });
  assert.deepEqual([none.stdout.length, none.stdout_bytes_produced], [0, 5000]);
});

test("a command that takes too long is killed, and the error says so", async () => {
  const slow = exec({ command: ["sleep", "100"], max_timeout_seconds: 1 });
  await assert.rejects(slow, (error) => {
    const { code, reason } = failure(error);
    return code === status.DEADLINE_EXCEEDED && reason === "CWSANDBOX_COMMAND_TIMEOUT";
  });
});

test("a stream is ready, takes input until the client's end, and exits", async () => {
  const stream = platform.exec({ sandbox_id, command: ["cat"] });
  const ready = await stream.first("ready");
  assert.ok(ready.session_id && ready.ready_at);
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
  stream.write({ stdin: { data: bytes } }).write({ stdin: { data: Buffer.from("end") } }).end();
  const { stdout, last, error } = await stream.rest();
  assert.ifError(error);
  assert.deepEqual(stdout, Buffer.concat([bytes, Buffer.from("end")]));
  assert.deepEqual([last.exit.exit_code, Boolean(last.exit.completed_at)], [0, true]);
});

test("close ends the input and the command goes on", async () => {
  const stream = platform.exec({ sandbox_id, command: sh("cat; sleep 0.2; echo done") });
  stream.write({ stdin: { data: Buffer.from("in ") } }).write({ close: {} });
  const { stdout, last } = await stream.rest();
  assert.equal(stdout.toString(), "in done\n");
  assert.equal(last.exit.exit_code, 0);
});

test("exit codes are those of a shell", async () => {
  const cases = [[["/etc/passwd"], 126], [["no-such-program"], 127], [sh("kill -TERM $$"), 143]];
  for (const [command, code] of cases) {
    const { last, error } = await platform.exec({ sandbox_id, command }).end().rest();
    assert.ifError(error);
    assert.equal(last.exit.exit_code, code, command.join(" "));
  }
});

test("each line is a frame of its own", async () => {
  const script = "for i in 1 2 3; do echo $i; sleep 0.2; done";
  const stream = platform.exec({ sandbox_id, command: sh(script), env: { A: "b" } }).end();
  await stream.rest();
  const pieces = stream.frames.filter((frame) => frame.output).map((frame) => frame.output.data.toString());
  assert.deepEqual(pieces, ["1\n", "2\n", "3\n"]);
});

test("a terminal has the size that the client says, and merges both outputs", async () => {
  const init = { sandbox_id, command: sh("read go; stty size; echo err >&2"), tty: true, tty_width: 100, tty_height: 30 };
  const stream = platform.exec(init);
  await stream.first("ready");
  stream.write({ resize: { width: 120, height: 40 } }).write({ stdin: { data: Buffer.from("\n") } });
  const { stdout, stderr } = await stream.rest();
  assert.match(stdout.toString(), /40 120\r\nerr\r\n/);
  assert.equal(stderr.length, 0);
});

test("cancelling kills the command, and so does a deadline", async () => {
  const cancelled = platform.exec({ sandbox_id, command: sh("echo $$ > /tmp/a; echo up; exec sleep 1000") }).end();
  await cancelled.first("output");
  cancelled.call.cancel();
  assert.equal((await cancelled.rest()).error.code, status.CANCELLED);
  await eventually(() => isGone("/tmp/a"));

  const command = sh("echo $$ > /tmp/b; exec sleep 1000");
  const late = platform.exec({ sandbox_id, command }, { deadline: Date.now() + 1500 });
  assert.equal((await late.rest()).error.code, status.DEADLINE_EXCEEDED);
  await eventually(() => isGone("/tmp/b"));
});

test("a client whose connection breaks goes on in another one", async (t) => {
  const { port, cut } = await cable(t);
  const there = new Platform({ host: `127.0.0.1:${port}` });
  t.after(() => there.close());
  const command = sh("echo one; read word; echo $word; exit 5");
  const lost = there.exec({ sandbox_id, command });
  const { session_id } = await lost.first("ready");
  await lost.first("output");
  cut();
  assert.equal((await lost.rest()).error.code, status.UNAVAILABLE);
  const resumed = platform.exec({ sandbox_id, resume_session_id: session_id });
  resumed.write({ stdin: { data: Buffer.from("two\n") } });
  const { stdout, last, error } = await resumed.rest();
  assert.ifError(error);
  assert.equal(stdout.toString(), "one\ntwo\n");
  assert.equal(last.exit.exit_code, 5);
  assert.ok(!resumed.frames.some((frame) => frame.ready), "ready comes once");
});

test("an unknown session is told in the last frame", async () => {
  const stream = platform.exec({ sandbox_id, resume_session_id: "never-was" });
  const { last, error } = await stream.rest();
  assert.ifError(error);
  assert.equal(last.error.code, "SESSION_NOT_FOUND");
});

test("a sandbox that is not there is a status with a reason", async () => {
  const { error } = await platform.exec({ sandbox_id: "nobody", command: ["ls"] }).end().rest();
  const { code, reason, domain } = failure(error);
  assert.deepEqual([code, reason, domain], [status.NOT_FOUND, "CWSANDBOX_SANDBOX_NOT_FOUND", "cwsandbox.com"]);
});

test("a command ends with its sandbox, and a frame says so", async (t) => {
  const endings = {
    Stop: { graceful_shutdown_seconds: 1 },
    Delete: {},
  };
  for (const [method, fields] of Object.entries(endings)) {
    const ending = await platform.sandbox(t);
    const stream = platform.exec({ sandbox_id: ending, command: ["sleep", "1000"] }).end();
    const log = platform.logs({ sandbox_id: ending, follow: true });
    await stream.first("ready");
    await platform.call("gateway", method, { sandbox_id: ending, ...fields });
    const { last, error } = await stream.rest();
    assert.ifError(error);
    assert.ok(last.exit?.exit_code > 128 || last.error?.code === "SANDBOX_NOT_RUNNING", JSON.stringify(last));
    assert.ok((await log.rest()).last.complete, method);
  }
  const short = await platform.sandbox(t, { max_lifetime_seconds: 3 });
  const { last, error } = await platform.exec({ sandbox_id: short, command: ["sleep", "1000"] }).end().rest();
  assert.ifError(error);
  assert.ok(last.exit?.exit_code > 128 || last.error?.code === "SANDBOX_NOT_RUNNING", JSON.stringify(last));
});

/** A way to the server that can be cut without a word. */
async function cable(t) {
  const { hostname, port } = new URL(process.env.CWSANDBOX_BASE_URL);
  const sockets = [];
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    for (const socket of [near, far]) socket.on("error", () => {}).setNoDelay(true);
    sockets.push(near, far);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const cut = () => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  };
  t.after(cut);
  return { port: server.address().port, cut };
}
