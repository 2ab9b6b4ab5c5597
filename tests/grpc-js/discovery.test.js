// Runners and profiles, as clients find them.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Platform, failure, status } from "./platform.js";

const platform = new Platform();
after(() => platform.close());

test("runners are found with and without what they have free", async () => {
  const list = (view) => platform.call("discovery", "ListAvailableRunners", { view });
  const [basic] = (await list("RUNNER_VIEW_BASIC")).runners;
  assert.equal(basic.resources, null);
  assert.ok(basic.capabilities.max_cpu_millicores > 0 && basic.healthy && basic.connected_at);
  const [full] = (await list("RUNNER_VIEW_FULL")).runners;
  assert.ok(full.resources.available_memory_bytes > 0);
  const { runner_id } = basic;
  const one = await platform.call("discovery", "GetAvailableRunner", { runner_id });
  assert.ok(one.resources && one.profile_names.includes("open"));
});

test("profiles come in pages of one, and agree with those of their runners", async () => {
  const pages = await platform.pages("discovery", "ListProfiles", "profiles", { page_size: 1 });
  assert.ok(pages.every((page) => page.length <= 1));
  const names = pages.flat().map((profile) => profile.profile_name);
  const { runners } = await platform.call("discovery", "ListAvailableRunners", {});
  const offered = runners.flatMap((runner) => runner.profile_names);
  assert.deepEqual([...new Set(names)].sort(), [...new Set(offered)].sort());
  const open = await platform.call("discovery", "GetProfile", { profile_name: "open" });
  assert.ok(open.egress_modes.some((mode) => mode.name === "internet"));
});

test("what is not there is refused, and filters that match nothing are no error", async () => {
  for (const [method, request, reason] of [
    ["GetAvailableRunner", { runner_id: "none" }, "CWSANDBOX_RUNNER_NOT_FOUND"],
    ["GetProfile", { profile_name: "none" }, "CWSANDBOX_PROFILE_NOT_FOUND"],
  ]) {
    await assert.rejects(platform.call("discovery", method, request), (error) => {
      const seen = failure(error);
      return seen.code === status.NOT_FOUND && seen.reason === reason;
    });
  }
  const none = await platform.call("discovery", "ListAvailableRunners", { gpu_type: "none-such" });
  assert.deepEqual(none.runners, []);
});
