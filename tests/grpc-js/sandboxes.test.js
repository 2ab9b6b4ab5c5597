// Sandboxes, their files and logs, and who may see what.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Platform, failure, status } from "./platform.js";

const platform = new Platform();
after(() => platform.close());

async function refused(call, code, reason) {
  await assert.rejects(call, (error) => {
    const seen = failure(error);
    assert.deepEqual([seen.code, seen.reason], [code, reason]);
    return true;
  });
}

test("a sandbox runs, is stopped, and keeps its end", async (t) => {
  const command = { command: "sh", args: ["-c", "trap 'exit 0' TERM; sleep infinity & wait"] };
  const sandbox_id = await platform.sandbox(t, { ...command, environment_variables: { A: "b" } });
  const { result } = await platform.call("gateway", "Exec", { sandbox_id, command: ["sh", "-c", "echo $A"] });
  assert.equal(result.stdout.toString(), "b\n");
  for (let again = 0; again < 2; again += 1) {
    const stopped = await platform.call("gateway", "Stop", { sandbox_id, graceful_shutdown_seconds: 5 });
    assert.equal(stopped.success, true);
  }
  await platform.until(sandbox_id, "SANDBOX_STATUS_COMPLETED", "SANDBOX_STATUS_FAILED", "SANDBOX_STATUS_TERMINATED");
  const { error } = await platform.exec({ sandbox_id, command: ["ls"] }).end().rest();
  assert.equal(failure(error).reason, "CWSANDBOX_SANDBOX_NOT_RUNNING");
  assert.equal((await platform.call("gateway", "Delete", { sandbox_id })).success, true);
});

test("a list in pages of one has every sandbox once", async (t) => {
  const tag = `js-${process.pid}`;
  const ids = await Promise.all([1, 2, 3].map(() => platform.sandbox(t, { tags: [tag] })));
  const pages = await platform.pages("gateway", "List", "sandboxes", { tags: [tag], page_size: 1 });
  assert.ok(pages.every((page) => page.length <= 1));
  assert.deepEqual(pages.flat().map((sandbox) => sandbox.sandbox_id).sort(), ids.sort());
});

test("a file is as it was written, and errors name it", async (t) => {
  const sandbox_id = await platform.sandbox(t);
  const file_contents = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 256));
  const filepath = "/tmp/a/b/c.bin";
  const written = await platform.call("gateway", "AddFile", { sandbox_id, filepath, file_contents });
  assert.equal(written.success, true);
  const read = await platform.call("gateway", "RetrieveFile", { sandbox_id, filepath });
  assert.deepEqual(read.file_contents, file_contents);
  await refused(
    platform.call("gateway", "RetrieveFile", { sandbox_id, filepath: "/none" }),
    status.NOT_FOUND, "CWSANDBOX_FILE_NOT_FOUND",
  );
  await refused(
    platform.call("gateway", "RetrieveFile", { sandbox_id, filepath: "/tmp" }),
    status.FAILED_PRECONDITION, "CWSANDBOX_FILE_IS_DIRECTORY",
  );
  const large = Buffer.alloc((32 << 20) + 1);
  await refused(
    platform.call("gateway", "AddFile", { sandbox_id, filepath, file_contents: large }),
    status.FAILED_PRECONDITION, "CWSANDBOX_FILE_TOO_LARGE",
  );
});

test("a log is followed, and goes on behind what the client has", async (t) => {
  const args = ["-c", "echo one; echo two; sleep infinity"];
  const sandbox_id = await platform.sandbox(t, { command: "sh", args });
  const size = (stream) => stream.frames.reduce((sum, frame) => sum + frame.data.data.length, 0);
  const first = platform.logs({ sandbox_id, follow: true });
  await first.until(() => size(first) >= 8);
  const { session_id, offset } = first.frames.at(-1).data;
  assert.equal(offset, 8);
  first.call.cancel();
  await first.over;
  const second = platform.logs({ sandbox_id, resume_session_id: session_id, resume_offset: 4 });
  await second.until(() => size(second) >= 4);
  const text = Buffer.concat(second.frames.map((frame) => frame.data.data)).toString();
  assert.equal(text, "two\n");
  assert.equal(second.frames.at(-1).data.session_id, session_id);
  second.write({ close: {} });
  const { last, error } = await second.rest();
  assert.ifError(error);
  assert.ok(last.complete);
});

test("what the caller may not or cannot have is refused with a reason", async () => {
  const stranger = new Platform({ token: "nobody" });
  await refused(stranger.call("gateway", "List", {}), status.UNAUTHENTICATED, "CWSANDBOX_UNAUTHENTICATED");
  stranger.close();
  const sandbox_id = "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d";
  for (const method of ["Get", "Stop", "Delete"]) {
    await refused(
      platform.call("gateway", method, { sandbox_id }),
      status.NOT_FOUND, "CWSANDBOX_SANDBOX_NOT_FOUND",
    );
  }
  const start = { command: "true", container_image: "python:3.11", profile_names: ["no-such-profile"] };
  await assert.rejects(platform.call("gateway", "Start", start), (error) => Boolean(failure(error).reason));
});
