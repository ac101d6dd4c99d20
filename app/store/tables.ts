import type { Generated } from 'kysely'

/** The tables as they lie in the database: times in milliseconds, truth values as 0 and 1, JSON as text. Only rows.ts translates. */
export interface Tables {
  bg_migration: MigrationRow
  bg_task: TaskRow
  bg_key_slot: KeySlotRow
  bg_run: RunRow
  bg_artifact: ArtifactRow
  bg_resident_start: ResidentStartRow
  bg_host: HostRow
  bg_counter: CounterRow
  bg_run_count: RunCountRow
  bg_user: UserRow
  bg_recovery_code: RecoveryCodeRow
  bg_token: TokenRow
  bg_request_key: RequestKeyRow
  bg_session: SessionRow
  bg_once_link: OnceLinkRow
  bg_login_failure: LoginFailureRow
  bg_audit: AuditRow
  bg_audit_chain: AuditChainRow
  bg_schedule: ScheduleRow
  bg_schedule_due: ScheduleDueRow
  bg_queue_item: QueueItemRow
  bg_cron: CronRow
  bg_cron_part: CronPartRow
  bg_error: ErrorRow
  bg_loop_error: LoopErrorRow
  bg_edit: EditRow
  bg_sample: SampleRow
  bg_loop_success: LoopSuccessRow
  bg_incident: IncidentRow
  bg_notice: NoticeRow
  bg_bulk: BulkRow
  bg_bulk_item: BulkItemRow
}

export interface MigrationRow {
  name: string
  /** null while it is being applied. */
  applied_at: number | null
  started_at: number
}

export interface TaskRow {
  id: Generated<number>
  uid: string
  action: string
  params: string
  exec_type: string
  type: string
  creator: string
  state: string
  wanted: string
  content: string | null
  reason: string | null
  priority: number
  run_at: number
  unique_key: string | null
  /** The first 16 bytes of sha256 of unique_key while the task is not final: who has it holds the key. */
  held_key: Uint8Array | null
  /** The same for the one task that follows the holder of the key (keepLast); it holds the key itself when that has ended. */
  next_key: Uint8Array | null
  /** Calls with keepLast whose params were overwritten by a newer one while the task waited. */
  superseded: Generated<number>
  /** Number of its newest edit; 0: nobody has changed it. */
  edits: Generated<number>
  attempt: number
  max_attempts: number
  timeout_ms: number | null
  grace_ms: number
  rerun_after_crash: number
  crash_count: number
  number: number
  wish: number
  host: string | null
  epoch: string | null
  created_at: number
  started_at: number | null
  finished_at: number | null
  updated_at: number
  /** How a waiting ONCE task waits: now, later (run_at lies ahead) or after (another task's end); null for all others. */
  due: 'now' | 'later' | 'after' | null
  /** Waits for the end of this task, which it replaced or follows. */
  after_id: number | null
  /** By which error it failed; null while it is not failed. */
  error_key: string | null
}

/** 256 rows that are only locked, on MySQL: who wants a unique key meets the others who want it here. */
export interface KeySlotRow {
  slot: number
}

export interface RunRow {
  task_id: number
  number: number
  host: string
  epoch: string
  pid: number | null
  start_ticks: number | null
  boot_id: string | null
  started_at: number
  ended_at: number | null
  outcome: string | null
  exit_code: number | null
  signal: string | null
  content: string | null
  error: string | null
  iterations: number | null
  peak_memory_bytes: number | null
  cpu_ms: number | null
  output_bytes: number | null
  recycled: number
  attempt: number
  adopted: number
  /** When the run of a ONCE task was due. */
  due_at: number | null
  /** The time in which no supervisor ran on this host, when the run was due before its end; from is null when there was none before. */
  down_from: number | null
  down_to: number | null
  /** The run was the so-manieth task of a resident runner, whose process is named by pid; null: it had a process of its own. */
  resident_task: number | null
  /** JSON: who or what stopped it, and how; what is known of its end besides. */
  end_facts: string | null
  /** JSON: with what it was started. Of loops, and of other runs that ended badly. */
  start_facts: string | null
}

/** With what the process of a resident runner was started. */
export interface ResidentStartRow {
  host: string
  boot_id: string
  start_ticks: number
  pid: number
  /** When it was last handed something, to the day. */
  seen_at: number
  /** JSON. */
  started_with: string
}

/** A file that a run declared to have made. */
export interface ArtifactRow {
  task_id: number
  number: number
  /** 1, 2, 3 … within the run. */
  n: number
  name: string
  path: string
  size_bytes: number
  declared_at: number
  /** Which file it was; 64-bit numbers as text. */
  device: string
  inode: string
  born_ns: string
  /** JSON: the other user whose run it was; null: our own. */
  run_user: string | null
}

export interface HostRow {
  host: string
  epoch: string
  beat: number
  beat_at: number
  pid: number
  version: string
  hostname: string
  runtime: string
  started_at: number
  left_at: number | null
  running: number
  loops: number
}

/** Failed tasks of one action with the same error. */
export interface ErrorRow {
  error_key: string
  action: string
  sample: string
  /** Tasks that are failed by it now; at 0 the row goes. */
  n: number
  first_at: number
  last_at: number
  last_task: number
}

/** What ended lives of a loop, or iterations, with the same error. */
export interface LoopErrorRow {
  task_id: number
  error_key: string
  sample: string
  /** Whether its text is in the output. */
  printed: number
  n: number
  first_at: number
  last_at: number
  /** The last run that it was met in, and how often it was told by iterations of that one. */
  last_number: number
  last_n: number
}

/** Something that people should hear of, as long as it lasts and then as history. */
export interface IncidentRow {
  id: Generated<number>
  /** null when it is over: of what lasts there is one. */
  open_key: string | null
  kind: string
  task_id: number | null
  number: number | null
  action: string | null
  host: string
  opened_at: number
  closed_at: number | null
  closed_how: string | null
  /** How often it happened while it lasted. */
  n: Generated<number>
  last_at: number
  last_task: number | null
  /** JSON: what its sentence is made of. */
  facts: string
  last_lines: string | null
}

/** That an incident was opened, or closed, is to be told by a channel. */
export interface NoticeRow {
  id: Generated<number>
  incident_id: number
  channel: string
  event: string
  /** null when it was told, or given up. */
  pending: number | null
  tell_at: number
  /** The message that it is part of, from the first try to send it on. */
  delivery: string | null
  /** Who is just sending it, and since when. */
  claim: string | null
  claimed_at: number | null
  told_at: number | null
}

/** Counts of final tasks, so that no page counts rows: `ended` for each day, `removed` (pruned, deleted or run again). */
export interface CounterRow {
  name: 'ended' | 'removed'
  state: string
  /** Days since 1970 (UTC); 0 for `removed`, and for all days of which the rows were added up. */
  day: number
  /** Each host counts in rows of its own, so that hosts do not wait for one another. */
  host: string
  n: number
}

/** How many runs of an action ever ended so. */
export interface RunCountRow {
  action: string
  outcome: string
  /** One of a few that hosts share, so that most of them count in rows of their own. */
  slot: number
  n: number
  /** When the last of them ended. */
  last_at: number
}

/** When a loop last finished an iteration that did not throw; or a run that succeeded, of one that has no iterations. */
export interface LoopSuccessRow {
  task_id: number
  at: number
}

export interface UserRow {
  id: Generated<number>
  name: string
  password_hash: string
  role: string
  created_at: number
  password_changed_at: number
  /** Base32; null: no second factor. */
  totp_secret: string | null
  /** The time step of the last code that was taken, so that none is taken twice. */
  totp_step: number | null
}

/** Each opens once in place of a code of the second factor; only the hash is stored. */
export interface RecoveryCodeRow {
  user_id: number
  code_hash: string
  used_at: number | null
}

/** A token for programs; only the hash of its secret half is stored. */
export interface TokenRow {
  id: Generated<number>
  name: string
  token_hash: string
  /** JSON array of strings. */
  scopes: string
  created_by: string
  created_at: number
  expires_at: number | null
  last_used_at: number | null
  last_used_ip: string | null
  revoked_at: number | null
  revoked_by: string | null
}

/** What a request with an Idempotency-Key was answered. One that is read line by line has a row for the whole and one for each piece. */
export interface RequestKeyRow {
  token_id: number
  key_hash: string
  /** 0: the request as a whole; else where a piece of its lines begins. */
  first_line: number
  /** Of the whole: how many lines are done. */
  last_line: number
  body_hash: string
  status: number
  answer: string
  created_at: number
}

export interface SessionRow {
  id_hash: string
  user_id: number | null
  data: string
  ip: string | null
  user_agent: string | null
  expires_at: number
  created_at: number
  seen_at: number
}

export interface OnceLinkRow {
  token_hash: string
  purpose: string
  expires_at: number
  used_at: number | null
  detail: string | null
}

export interface LoginFailureRow {
  subject: string
  failures: number
  last_at: number
}

/** Only ever appended. `hash` covers the row and the hash of the one before it, so a row that was changed or removed shows. */
export interface AuditRow {
  /** Numbered without gaps. */
  id: number
  at: number
  user_name: string | null
  ip: string | null
  via: string
  act: string
  subject: string | null
  detail: string | null
  hash: string
}

/** One row: where the chain of the audit rows begins (what is older was pruned) and where it ends. */
export interface AuditChainRow {
  one: number
  first_id: number
  /** Hash of the row before the first. */
  first_hash: string
  last_id: number
  last_hash: string
}

export interface ScheduleRow {
  id: Generated<number>
  name: string
  /** Either this with a time zone, or every_ms. */
  cron: string | null
  time_zone: string | null
  every_ms: number | null
  /** every_ms counts from here. */
  anchor_at: number
  action: string
  params: string
  /** JSON: what its tasks are given besides action and params. */
  options: string
  missed: string
  overlap: string
  wanted: string
  /** null while nothing is due. */
  next_at: number | null
  last_at: number | null
  last_task_id: number | null
  /** JSON: what was out of the ordinary at the last due time. */
  note: string | null
  made_by: string
  made_from: string
  declared: string | null
  edited_by: string | null
  edited_at: number | null
  revision: number
  created_at: number
  updated_at: number
}

/** A due time that was dealt with: none is twice. */
export interface ScheduleDueRow {
  schedule_id: number
  due_at: number
  /** 1: made because a person asked, at due_at. */
  by_hand: number
  /** null: passed over. */
  task_id: number | null
  made_at: number
}

/** What waits in a queue of a module. */
export interface QueueItemRow {
  id: Generated<number>
  queue: string
  data: string
  created_at: number
  /** From when on it may be claimed: while it is held, the end of the lease; null when it is set aside. Whoever claims changes it. */
  free_at: number | null
  /** Of the newest claim; who claimed before may change nothing any more. */
  claim: string | null
  /** `cron`: held by a cron run, which alone may live; null: by somebody else, or by nobody. */
  holder: string | null
  /** Counted when a cron run claims it, so that no way to die escapes the count, and taken back when that was none. */
  failures: Generated<number>
  failed_at: number | null
  error: string | null
  /** When it was set aside for having failed too often. */
  aside_at: number | null
}

/** One row: what is set about cron, and which process runs it. */
export interface CronRow {
  one: number
  /** `Run cron every`, after a web request; 0: never. */
  every_ms: Generated<number>
  /** When somebody last asked for a run. */
  asked_at: Generated<number>
  key_hash: string | null
  key_made_at: number | null
  key_made_by: string | null
  lock_token: string | null
  lock_host: string | null
  lock_pid: number | null
  lock_start_ticks: number | null
  lock_boot_id: string | null
  /** Counts on while its process lives. */
  lock_beat: Generated<number>
  lock_task_id: number | null
  lock_at: number | null
  /** The task whose cron run has begun and not come to its end, and its run that began it. */
  open_task_id: number | null
  open_number: number | null
}

/** How a hook or a queue fared when cron last came to it. */
export interface CronPartRow {
  kind: 'hook' | 'queue'
  name: string
  module: string
  task_id: number
  number: number
  started_at: number
  ended_at: number | null
  /** null: under way, or its process died. */
  outcome: 'done' | 'failed' | 'interrupted' | null
  error: string | null
  /** Items, of a queue. */
  done: Generated<number>
  failed: Generated<number>
  set_aside: Generated<number>
  /** When it last began and then ended well. */
  good_at: number | null
}

/** What somebody changed of a task that was there. */
export interface EditRow {
  task_id: number
  /** 1, 2, 3 … within the task; the oldest are pruned. */
  n: number
  at: number
  user_name: string | null
  via: string
  effect: string
  /** Of the task's newest run at that time. */
  number: number
  revert_of: number | null
  /** JSON, with secrets: either is given to runs, or was. */
  before_terms: string
  after_terms: string
  /** JSON: places of the params. */
  touched: string
}

export interface SampleRow {
  task_id: number
  span_ms: number
  at: number
  iterations: number
  errors: number
  /** As task/durations.ts writes them. */
  durations: string
  cpu_ms: number
  memory_bytes: number | null
  output_bytes: number
}

/** What a task of core/bulk does to all tasks that a filter lets through. */
export interface BulkRow {
  /** The task that does it. */
  task_id: number
  act: string
  /** JSON: a TaskFilter. */
  filter: string
  /** Only tasks up to this id: what is added after the preview is left alone. */
  up_to: number
  /** How many the preview told of; is_all is 0 when there were more. */
  expected: number
  is_all: number
  asked_at: number
  asked_by: string
  /** The act that this one undoes. */
  undo_of: number | null
  /** The task that undoes it. */
  undone_by: number | null
}

/** A task that was changed so, as far as that can be undone or must not be done twice. */
export interface BulkItemRow {
  bulk_id: number
  task_id: number
}
