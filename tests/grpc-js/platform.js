// What the tests call the platform with: promises around the calls, streams as
// lists of what came, and details of errors. The platform is started by
// tests/sdk, which says in the environment where it is.

import { fileURLToPath } from "node:url";
import path from "node:path";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import protobuf from "protobufjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, "../../crates/wire/proto");
const package_ = "coreweave/sandbox/v1beta2";
const definitions = protoLoader.loadSync(
  ["gateway", "streaming", "discovery"].map((name) => `${package_}/${name}.proto`),
  { includeDirs: [root], keepCase: true, enums: String, longs: Number, defaults: true, oneofs: true },
);
const services = grpc.loadPackageDefinition(definitions).coreweave.sandbox.v1beta2;

const details = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
`, { keepCase: true }).root;

export const { status } = grpc;
export const PATIENCE_MS = 30_000;
const address = new URL(process.env.CWSANDBOX_BASE_URL).host;

/** What a failed call says: its code, and the reason and metadata of its details. */
export function failure(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const found = bytes ? details.lookupType("Status").decode(bytes).details : [];
  const any = found.find((detail) => detail.type_url.endsWith("google.rpc.ErrorInfo"));
  const info = any ? details.lookupType("ErrorInfo").decode(any.value) : {};
  return { code: error.code, reason: info.reason, domain: info.domain, metadata: info.metadata };
}

/** Calls one server as one user. */
export class Platform {
  constructor({ host = address, token = process.env.CWSANDBOX_API_KEY } = {}) {
    const credentials = grpc.credentials.createInsecure();
    const options = { "grpc.max_receive_message_length": 100 << 20, "grpc.use_local_subchannel_pool": 1 };
    this.services = {
      gateway: new services.GatewayService(host, credentials, options),
      streaming: new services.GatewayStreamingService(host, credentials, options),
      discovery: new services.DiscoveryService(host, credentials, options),
    };
    this.metadata = new grpc.Metadata();
    this.metadata.set("authorization", `Bearer ${token}`);
  }

  /** One call that is answered once. */
  call(service, method, message) {
    const deadline = Date.now() + PATIENCE_MS;
    const client = this.services[service];
    return new Promise((resolve, reject) => {
      client[method](message, this.metadata, { deadline }, (error, answer) => {
        if (error) reject(error);
        else resolve(answer);
      });
    });
  }

  exec(init, options = {}) {
    return new Stream(this.services.streaming.StreamExec(this.metadata, options), init);
  }

  logs(init) {
    return new Stream(this.services.streaming.StreamLogs(this.metadata, {}), init);
  }

  /** A sandbox that runs; removed when the test `t` ends. */
  async sandbox(t, fields = {}) {
    const request = { command: "sleep", args: ["infinity"], profile_names: ["open"], ...fields };
    const { sandbox_id } = await this.call("gateway", "Start", { container_image: "python:3.11", ...request });
    t.after(() => this.call("gateway", "Delete", { sandbox_id }).catch(() => {}));
    await this.until(sandbox_id, "SANDBOX_STATUS_RUNNING");
    return sandbox_id;
  }

  /** Waits until a sandbox has one of these statuses. */
  async until(sandbox_id, ...statuses) {
    return eventually(async () => {
      const seen = await this.call("gateway", "Get", { sandbox_id });
      return statuses.includes(seen.sandbox_status) ? seen : undefined;
    });
  }

  /** Every page of a list, each as the list of its items. */
  async pages(service, method, field, request) {
    const pages = [];
    let page_token = "";
    do {
      const answer = await this.call(service, method, { ...request, page_token });
      pages.push(answer[field]);
      page_token = answer.next_page_token;
    } while (page_token);
    return pages;
  }

  close() {
    for (const client of Object.values(this.services)) client.close();
  }
}

/** A stream of either kind: what came, and how it ended. */
export class Stream {
  constructor(call, init) {
    this.call = call;
    this.frames = [];
    this.waiting = [];
    this.over = new Promise((resolve) => {
      let failed;
      call.on("data", (frame) => this.take(frame));
      call.on("error", (error) => { failed = error; });
      call.on("status", () => setImmediate(() => resolve(failed)));
    });
    call.write({ init });
  }

  take(frame) {
    this.frames.push(frame);
    this.waiting.splice(0).forEach((look) => look());
  }

  write(frame) {
    this.call.write(frame);
    return this;
  }

  /** Says all that there is to say. */
  end() {
    this.call.end();
    return this;
  }

  /** Waits until what came is as wanted. */
  async until(holds) {
    const late = setTimeout(() => this.call.cancel(), PATIENCE_MS);
    while (!holds(this.frames)) await new Promise((look) => this.waiting.push(look));
    clearTimeout(late);
  }

  /** Waits for the first frame of a kind. */
  async first(kind) {
    await this.until((frames) => frames.some((frame) => frame[kind]));
    return this.frames.find((frame) => frame[kind])[kind];
  }

  /** Waits for the end: output, the last frame, and the error of the call if any. */
  async rest() {
    const late = setTimeout(() => this.call.cancel(), PATIENCE_MS);
    const error = await this.over;
    clearTimeout(late);
    const last = this.frames.at(-1);
    return { stdout: this.text("STREAM_TYPE_STDOUT"), stderr: this.text("STREAM_TYPE_STDERR"), last, error };
  }

  text(kind) {
    const pieces = this.frames.filter((frame) => frame.output?.stream_type === kind);
    return Buffer.concat(pieces.map((frame) => frame.output.data));
  }
}

/** Waits until `look` finds something, and returns that. */
export async function eventually(look) {
  const limit = Date.now() + PATIENCE_MS;
  while (Date.now() < limit) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited too long for: ${look}`);
}
