// The AWS SDK for JavaScript, unmodified, against `glacierfs serve`: a round trip through everything that a program
// would use. The program is $GLACIERFS.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import {
  Glacier,
  paginateListParts,
  paginateListVaults,
  waitUntilVaultExists,
  waitUntilVaultNotExists,
} from "@aws-sdk/client-glacier";

const MIB = 1 << 20;
const ACCOUNT = "000000000000";
const EVENTS = ["ArchiveRetrievalCompleted", "InventoryRetrievalCompleted"];
const TOPIC = `arn:aws:sns:us-east-1:${ACCOUNT}:topic`;
let server, glacier, data;

before(async () => {
  data = await mkdtemp(join(tmpdir(), "glacierfs-js-"));
  const options = ["--retrieval-delay", "all=0s", "--retrieval-delay", "bulk=1h", "--inventory-interval", "0s"];
  server = spawn(
    process.env.GLACIERFS,
    ["serve", "--data", data, "--listen", "127.0.0.1:0", "--log", "warn", ...options],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [line] = await Promise.race([once(server.stdout, "data"), once(server, "exit").then(() => [""])]);
  const endpoint = line.toString().trim();
  assert.match(endpoint, /^http:\/\/127\.0\.0\.1:\d+$/, "the endpoint didn't start");
  glacier = new Glacier({ endpoint, region: "us-east-1", credentials: await credentials(), maxAttempts: 1 });
});

after(async () => {
  glacier?.destroy();
  if (server?.exitCode === null) {
    server.kill("SIGTERM");
    const [status] = await once(server, "exit");
    assert.equal(status, 0);
  }
  await rm(data, { recursive: true, force: true });
});

/** The key of the profile glacierfs. */
async function credentials() {
  const text = await readFile(join(data, "credentials"), "utf8");
  const value = (name) => text.match(new RegExp(`^${name}\\s*=\\s*(\\S+)`, "m"))[1];
  return { accessKeyId: value("aws_access_key_id"), secretAccessKey: value("aws_secret_access_key") };
}

/** Bytes that differ from place to place. */
function pattern(size) {
  const block = Buffer.alloc(251 * 4096, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
  return Buffer.concat(Array(Math.ceil(size / block.length)).fill(block), size);
}

function sha256(...pieces) {
  const hash = createHash("sha256");
  pieces.forEach((piece) => hash.update(piece));
  return hash.digest();
}

/** The tree hash, by its definition. */
function treeHash(bytes) {
  let level = [];
  for (let first = 0; first < bytes.length; first += MIB) level.push(sha256(bytes.subarray(first, first + MIB)));
  while (level.length > 1) {
    const above = [];
    for (let i = 0; i < level.length; i += 2) above.push(level[i + 1] ? sha256(level[i], level[i + 1]) : level[i]);
    level = above;
  }
  return level[0].toString("hex");
}

/** A new vault; its name as parameters. */
async function vault(name) {
  const { location } = await glacier.createVault({ accountId: "-", vaultName: name });
  assert.equal(location, `/${ACCOUNT}/vaults/${name}`);
  return { accountId: "-", vaultName: name };
}

/** Starts a job and waits for it; its description. */
async function job(at, jobParameters) {
  const { jobId } = await glacier.initiateJob({ ...at, jobParameters });
  for (let tries = 0; tries < 200; tries++) {
    const described = await glacier.describeJob({ ...at, jobId });
    if (described.Completed) {
      assert.equal(described.StatusCode, "Succeeded");
      return described;
    }
    await sleep(50);
  }
  throw new Error(`the job ${jobId} isn't done`);
}

/** The output of a job, and what came with it. */
async function output(at, jobId, range) {
  const answer = await glacier.getJobOutput({ ...at, jobId, range });
  return { ...answer, bytes: Buffer.from(await answer.body.transformToByteArray()) };
}

/** Checks that a call is refused with a code and a status. */
async function refused(name, status, call) {
  await assert.rejects(call, (error) => {
    assert.deepEqual([error.name, error.$metadata.httpStatusCode], [name, status], error.message);
    assert.ok(error.$metadata.requestId);
    return true;
  });
}

test("vaults, empty account IDs, pages and waiters", async () => {
  const at = await vault("vaults");
  assert.equal((await glacier.describeVault({ accountId: "", vaultName: "vaults" })).NumberOfArchives, 0);
  for (let i = 0; i < 25; i++) await vault(`page-${String(i).padStart(2, "0")}`);
  const names = [];
  for await (const page of paginateListVaults({ client: glacier }, { accountId: "-" })) {
    assert.ok(page.VaultList.length <= 10);
    names.push(...page.VaultList.map((found) => found.VaultName));
  }
  assert.equal(names.filter((name) => name.startsWith("page-")).length, 25);
  await waitUntilVaultExists({ client: glacier, maxWaitTime: 10 }, at);
  await glacier.deleteVault(at);
  await waitUntilVaultNotExists({ client: glacier, maxWaitTime: 10 }, at);
  await refused("ResourceNotFoundException", 404, () => glacier.describeVault(at));
  await refused("InvalidParameterValueException", 400, () => glacier.createVault({ accountId: "-", vaultName: "a b" }));
});

test("a multipart upload of 100 MiB, retrieved whole and in a range", async () => {
  const at = await vault("multipart");
  const bytes = pattern(100 * MIB);
  const part = 8 * MIB;
  const { uploadId } = await glacier.initiateMultipartUpload({
    ...at,
    archiveDescription: "a hundred",
    partSize: String(part),
  });
  const firsts = Array.from({ length: Math.ceil(bytes.length / part) }, (_, i) => i * part).reverse();
  const worker = async () => {
    for (let first = firsts.pop(); first !== undefined; first = firsts.pop()) {
      const body = bytes.subarray(first, first + part);
      const range = `bytes ${first}-${first + body.length - 1}/*`;
      const { checksum } = await glacier.uploadMultipartPart({ ...at, uploadId, range, body });
      assert.equal(checksum, treeHash(body));
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  const parts = [];
  const pages = paginateListParts({ client: glacier, pageSize: 5 }, { ...at, uploadId });
  for await (const page of pages) parts.push(...page.Parts);
  assert.equal(parts.length, 13);
  const whole = { archiveSize: String(bytes.length), checksum: treeHash(bytes) };
  await refused("InvalidParameterValueException", 400, () =>
    glacier.completeMultipartUpload({ ...at, uploadId, ...whole, checksum: treeHash(bytes.subarray(1)) }),
  );
  const { archiveId } = await glacier.completeMultipartUpload({ ...at, uploadId, ...whole });
  assert.equal((await glacier.completeMultipartUpload({ ...at, uploadId, ...whole })).archiveId, archiveId);

  const { JobId, SHA256TreeHash } = await job(at, { Type: "archive-retrieval", ArchiveId: archiveId });
  assert.equal(SHA256TreeHash, whole.checksum);
  const all = await output(at, JobId);
  assert.equal(all.status, 200);
  assert.deepEqual([all.checksum, all.archiveDescription], [whole.checksum, "a hundred"]);
  assert.ok(all.bytes.equals(bytes));
  const range = await job(at, {
    Type: "archive-retrieval",
    ArchiveId: archiveId,
    RetrievalByteRange: `${32 * MIB}-${48 * MIB - 1}`,
  });
  const some = await output(at, range.JobId, `bytes=0-${4 * MIB - 1}`);
  assert.deepEqual([some.status, some.contentRange], [206, `bytes 0-${4 * MIB - 1}/${16 * MIB}`]);
  assert.ok(some.bytes.equals(bytes.subarray(32 * MIB, 36 * MIB)));
  assert.equal(some.checksum, treeHash(some.bytes));
});

test("single archives and the inventory", async () => {
  const at = await vault("inventory");
  const body = pattern(MIB + 1);
  const { archiveId, checksum } = await glacier.uploadArchive({ ...at, body, archiveDescription: 'a, "b"' });
  assert.equal(checksum, treeHash(body));
  const greeting = await glacier.uploadArchive({ ...at, body: "hello world" });
  assert.equal(greeting.checksum, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
  const { JobId } = await job(at, { Type: "inventory-retrieval", Format: "JSON" });
  const told = await output(at, JobId);
  assert.equal(told.contentType, "application/json");
  const listed = JSON.parse(told.bytes.toString()).ArchiveList;
  assert.deepEqual(
    listed.map(({ ArchiveId, ArchiveDescription, Size }) => [ArchiveId, ArchiveDescription, Size]),
    [
      [archiveId, 'a, "b"', MIB + 1],
      [greeting.archiveId, "", 11],
    ],
  );
  const csv = await output(at, (await job(at, { Type: "inventory-retrieval", Format: "CSV" })).JobId);
  assert.equal(csv.contentType, "text/csv");
  const pending = await glacier.initiateJob({
    ...at,
    jobParameters: { Type: "archive-retrieval", ArchiveId: archiveId, Tier: "Bulk" },
  });
  await refused("InvalidParameterValueException", 400, () => glacier.getJobOutput({ ...at, jobId: pending.jobId }));
  assert.equal((await glacier.listJobs({ ...at, statuscode: "InProgress" })).JobList.length, 1);
  for (const id of [archiveId, greeting.archiveId]) await glacier.deleteArchive({ ...at, archiveId: id });
  await refused("ResourceNotFoundException", 404, () =>
    glacier.initiateJob({ ...at, jobParameters: { Type: "archive-retrieval", ArchiveId: archiveId } }),
  );
  await glacier.deleteVault(at);
});

test("tags, notifications, policies", async () => {
  const at = await vault("settings");
  await glacier.addTagsToVault({ ...at, Tags: { colour: "blau", größe: "XL" } });
  await glacier.removeTagsFromVault({ ...at, TagKeys: ["colour"] });
  assert.deepEqual((await glacier.listTagsForVault(at)).Tags, { größe: "XL" });

  const vaultNotificationConfig = { SNSTopic: TOPIC, Events: EVENTS };
  await refused("ResourceNotFoundException", 404, () => glacier.getVaultNotifications(at));
  await glacier.setVaultNotifications({ ...at, vaultNotificationConfig });
  assert.deepEqual((await glacier.getVaultNotifications(at)).vaultNotificationConfig, vaultNotificationConfig);
  await glacier.deleteVaultNotifications(at);

  const policy = { Policy: denial("glacier:DeleteVault") };
  await refused("ResourceNotFoundException", 404, () => glacier.getVaultAccessPolicy(at));
  await glacier.setVaultAccessPolicy({ ...at, policy });
  assert.deepEqual((await glacier.getVaultAccessPolicy(at)).policy, policy);
  await refused("AccessDeniedException", 403, () => glacier.deleteVault(at));
  await glacier.deleteVaultAccessPolicy(at);
  await glacier.deleteVault(at);

  const account = { accountId: "-" };
  assert.equal((await glacier.getDataRetrievalPolicy(account)).Policy.Rules[0].Strategy, "None");
  const Rules = [{ Strategy: "BytesPerHour", BytesPerHour: 1 << 30 }];
  await glacier.setDataRetrievalPolicy({ ...account, Policy: { Rules } });
  assert.equal((await glacier.getDataRetrievalPolicy(account)).Policy.Rules[0].BytesPerHour, 1 << 30);
  await glacier.setDataRetrievalPolicy({ ...account, Policy: { Rules: [{ Strategy: "None" }] } });
  const { capacityId } = await glacier.purchaseProvisionedCapacity(account);
  const { ProvisionedCapacityList } = await glacier.listProvisionedCapacity(account);
  assert.deepEqual(ProvisionedCapacityList.map((unit) => unit.CapacityId), [capacityId]);
});

/** A policy that denies an action on archives that are younger than a year, or on the vault. */
function denial(Action, Condition) {
  const Resource = `arn:aws:glacier:us-east-1:${ACCOUNT}:vaults/*`;
  const Statement = [{ Effect: "Deny", Principal: "*", Action, Resource, ...(Condition && { Condition }) }];
  return JSON.stringify({ Version: "2012-10-17", Statement });
}

test("a vault lock", async () => {
  const at = await vault("lock");
  const { archiveId } = await glacier.uploadArchive({ ...at, body: "keep" });
  const young = { NumericLessThan: { "glacier:ArchiveAgeInDays": "365" } };
  const policy = { Policy: denial("glacier:DeleteArchive", young) };
  await refused("ResourceNotFoundException", 404, () => glacier.getVaultLock(at));
  await glacier.initiateVaultLock({ ...at, policy });
  await refused("AccessDeniedException", 403, () => glacier.initiateVaultLock({ ...at, policy }));
  await glacier.abortVaultLock(at);
  const { lockId } = await glacier.initiateVaultLock({ ...at, policy });
  assert.equal((await glacier.getVaultLock(at)).State, "InProgress");
  await refused("InvalidParameterValueException", 400, () => glacier.completeVaultLock({ ...at, lockId: "x" }));
  await glacier.completeVaultLock({ ...at, lockId });
  const lock = await glacier.getVaultLock(at);
  assert.deepEqual([lock.State, lock.Policy, lock.ExpirationDate], ["Locked", policy.Policy, undefined]);
  await refused("AccessDeniedException", 403, () => glacier.abortVaultLock(at));
  await refused("AccessDeniedException", 403, () => glacier.deleteArchive({ ...at, archiveId }));
});
