/**
 * Chinese for sentences that bgtask stores in English: how its own actions ended, why a run or a module failed, what the audit notes beside an act. Places
 * are numbered as they come. A test holds the words against those of the code.
 */
export const storedZh: Readonly<Record<string, string>> = {
  // actions that come with it
  'Does to all tasks that match a filter what was asked for on their list.': '对符合筛选条件的所有任务执行在其列表上要求的操作。',
  'Retries or discards failed tasks, as many as there are.': '重试或丢弃失败的任务，不论多少。',
  'What becomes of them': '如何处理它们',
  'Milliseconds since 1970: what fails after it is left alone': '1970 年以来的毫秒数：在此之后失败的不予处理',
  'Runs a command of the commands file.': '运行命令文件中的一个命令。',
  'Tells incidents, by webhook or mail, to those whom the configuration names.': '把故障通过 webhook 或邮件告知配置中指定的人。',
  'Runs cron: the hooks and queues of the modules.': '运行 cron：各模块的钩子和队列。',
  // cron
  'Cron runs already (task {0#}, since {1}); nothing was done.': 'Cron 已在运行（任务 {0}，自 {1} 起）；什么都没做。',
  'Another process has taken cron over; this one stops.': '另一个进程接管了 cron；这个停止。',
  'Stopped after {0#} of {1#}; the next run goes on from there.': '完成 {1} 项中的 {0} 项后停止；下次运行从那里继续。',
  'It did not end within {0#} s. The rest of cron goes on without it.': '它没有在 {0} 秒内结束。cron 的其余部分照常继续。',
  'It did not end within {0#} s.': '它没有在 {0} 秒内结束。',
  'It failed too often.': '失败次数过多。',
  'An error that nobody caught: {0}': '无人捕获的错误：{0}',
  '{0#} hooks, {1}.': '{0} 个钩子，{1}。',
  '{0#} hook, {1}.': '{0} 个钩子，{1}。',
  // modules and actions that cannot be used
  'TypeError: {0}': 'TypeError：{0}',
  'Error: {0}': 'Error：{0}',
  'it exports none of cron, cronQueueInfo and cronQueueInfoAlter; write: export async function cron(ctx) { … }':
    '它没有导出 cron、cronQueueInfo 或 cronQueueInfoAlter；请写：export async function cron(ctx) { … }',
  'it exports no execute; write: export async function execute(ctx) { … }, or export default defineAction({ execute(ctx) { … } }), or functions under names of their own':
    '它没有导出 execute；请写：export async function execute(ctx) { … }，或 export default defineAction({ execute(ctx) { … } })，或以各自的名称导出函数',
  // failed tasks
  'retried {0#} failed tasks': '已重试 {0} 个失败任务',
  'retried {0#} failed task': '已重试 {0} 个失败任务',
  'retried {0#} failed tasks; {1} failed, since other tasks have their unique keys by now':
    '已重试 {0} 个失败任务；{1}仍为失败，因为其唯一键现已被其他任务持有',
  'retried {0#} failed task; {1} failed, since other tasks have their unique keys by now':
    '已重试 {0} 个失败任务；{1}仍为失败，因为其唯一键现已被其他任务持有',
  'discarded {0#} failed tasks': '已丢弃 {0} 个失败任务',
  'discarded {0#} failed task': '已丢弃 {0} 个失败任务',
  // many tasks at once
  'started {0#} loops': '已启动 {0} 个循环',
  'started {0#} loop': '已启动 {0} 个循环',
  'stopped {0#} loops': '已停止 {0} 个循环',
  'stopped {0#} loop': '已停止 {0} 个循环',
  'restarted {0#} loops': '已重启 {0} 个循环',
  'restarted {0#} loop': '已重启 {0} 个循环',
  'cancelled {0#} tasks': '已取消 {0} 个任务',
  'cancelled {0#} task': '已取消 {0} 个任务',
  'had {0#} tasks run': '已让 {0} 个任务立即运行',
  'had {0#} task run': '已让 {0} 个任务立即运行',
  'deleted {0#} tasks': '已删除 {0} 个任务',
  'deleted {0#} task': '已删除 {0} 个任务',
  'put back {0#} tasks': '已恢复 {0} 个任务',
  'put back {0#} task': '已恢复 {0} 个任务',
  '{0#} left alone, since other tasks have their unique keys by now': '{0} 个未处理，因为其唯一键现已被其他任务持有',
  // commands
  'exit code {0#}': '退出码 {0}',
  'signal {0}': '信号 {0}',
  'It took longer than its limit of {0#} ms (timeoutMs) and was ended.': '它超过了 {0} 毫秒的时限（timeoutMs），已被结束。',
  'It printed more than its limit of {0#} bytes (outputBytes) and was ended.': '它的输出超过了 {0} 字节的上限（outputBytes），已被结束。',
  'The supervisor was stopped in the middle of run {0#}. It is not run again by itself, since its entry does not say rerunAfterCrash: true. Look what it has done, then send it once more.':
    '监管进程在运行 {0} 中途被停止。它不会自动再次运行，因为其条目没有写 rerunAfterCrash: true。请查看它做了什么，然后再次发送。',
  'The supervisor was stopped in the middle of it, and it ended with {0}. It is not run again by itself, since its entry does not say rerunAfterCrash: true. Look what it has done, then send it once more.':
    '监管进程在其中途被停止，它以{0}结束。它不会自动再次运行，因为其条目没有写 rerunAfterCrash: true。请查看它做了什么，然后再次发送。',
  'A command ends, so it cannot be kept up as a loop.': '命令会结束，不能作为循环一直运行。',
  // how runs end
  'It did not end within {0#} ms after SIGTERM and was ended by SIGKILL.': '它在 SIGTERM 之后 {0} 毫秒内没有结束，已被 SIGKILL 终止。',
  'Killed by {0}.': '被 {0} 终止。',
  'Last error printed: {0}': '最后打印的错误：{0}',
  'Last line printed: {0}': '最后打印的一行：{0}',
  'It needed more memory than its limit of {0#} MB (memoryMb).': '它需要的内存超过了 {0} MB 的上限（memoryMb）。',
  'It printed more than its limit of {0#} bytes (killOnOutputBytes) and was ended.':
    '它的输出超过了 {0} 字节的上限（killOnOutputBytes），已被结束。',
  'stopped after {0#} iteration': '迭代 {0} 轮后停止',
  'stopped after {0#} iterations': '迭代 {0} 轮后停止',
  'stopped after {0#} iteration, {1#} of which threw': '迭代 {0} 轮后停止，其中 {1} 轮抛出错误',
  'stopped after {0#} iterations, {1#} of which threw': '迭代 {0} 轮后停止，其中 {1} 轮抛出错误',
  'recycled after {0#} iterations': '迭代 {0} 轮后回收',
  'recycled after {0#} ms': '运行 {0} 毫秒后回收',
  'It ended while no supervisor watched it, and left no outcome.': '它在没有监管进程看管时结束，没有留下结果。',
  'The process left with code {0#} without an outcome.': '进程以代码 {0} 退出，没有留下结果。',
  'The process left with exit code {0#} before its action had ended.': '进程在动作结束之前就以退出码 {0} 退出。',
  'Somebody else sent it SIGTERM.': '有别人向它发送了 SIGTERM。',
  'The action {0} does not load from {1}: {2}': '动作 {0} 无法从 {1} 加载：{2}',
  'Its resident runner was ended: {0}.': '它的常驻运行进程被结束：{0}。',
  'an earlier run still holds the lock of this loop': '先前的运行仍持有此循环的锁',
}

/** What stands within those, and in notes of the audit. */
export const storedPartsZh: Readonly<Record<string, string>> = {
  '{0#} stay': '{0} 个',
  '{0#} stays': '{0} 个',
  'of which {0} failed, {1}': '其中 {0} 失败，{1}',
  '{0#} items done, {1}': '完成 {0} 个条目，{1}',
  '{0#} item done, {1}': '完成 {0} 个条目，{1}',
  '{0#} items done': '完成 {0} 个条目',
  '{0#} item done': '完成 {0} 个条目',
  '{0#} failed and stay, {1}': '{0} 个失败并留下，{1}',
  '{0#} failed and stay': '{0} 个失败并留下',
  '{0#} set aside, {1}': '{0} 个被搁置，{1}',
  '{0#} set aside': '{0} 个被搁置',
  '{0#} modules cannot be used': '{0} 个模块不能使用',
  '{0#} module cannot be used': '{0} 个模块不能使用',
  '{0} (line {1#})': '{0}（第 {1} 行）',
  'the queue {0} is declared by the module {1} already; give it another name': '队列 {0} 已由模块 {1} 声明；请另取名称',
  'cronQueueInfoAlter is undone: {0}': 'cronQueueInfoAlter 已撤销：{0}',
  'cronQueueInfo gives {0}; it must give an object like { mails: { worker, timeS: 15 } }':
    'cronQueueInfo 给出了 {0}；必须是对象，例如 { mails: { worker, timeS: 15 } }',
  'the worker of the queue {0} is {1}; it must be a function (data, ctx) => …': '队列 {0} 的 worker 是 {1}；必须是函数 (data, ctx) => …',
  '{0} is {1}; it must be a function': '{0} 是 {1}；必须是函数',
  '{0} is {1}; it must be true or false': '{0} 是 {1}；必须是 true 或 false',
  '{0} is {1}; it must be a whole number from 1 to 1000': '{0} 是 {1}；必须是 1 到 1000 的整数',
  '{0} is {1}; it must be a number of seconds, more than 0 and at most 86400': '{0} 是 {1}；必须是大于 0、不超过 86400 的秒数',
}

/** What the audit notes beside an act, of its details. */
export const auditNotesZh: Readonly<Record<string, string>> = {
  '{0}, replacing task {1#}': '{0}，取代任务 {1}',
  '{0}, like task {1#}': '{0}，与任务 {1} 相同',
  '{0}, in place of {1#} earlier with this unique key': '{0}，代替同一唯一键的先前 {1} 次',
  '{0}, from {1} to {2}': '{0}，从 {1} 到 {2}',
  '{0}, by its unique key': '{0}，按其唯一键',
  'by its unique key {0}': '按其唯一键 {0}',
  '{0}; ids {1#} to {2#}': '{0}；编号 {1} 到 {2}',
  '{0}; before: {1}': '{0}；之前：{1}',
  'every {0#} ms, {1}': '每 {0} 毫秒，{1}',
  '{0}; never expires': '{0}；永不过期',
  '{0}; until {1}': '{0}；至 {1}',
  '{0} to {1}': '{0} 改为 {1}',
  '{0}, retry: all that failed': '{0}，重试：全部失败的',
  '{0}, discard: all that failed': '{0}，丢弃：全部失败的',
  '{0}, retry: {1}': '{0}，重试：{1}',
  '{0}, discard: {1}': '{0}，丢弃：{1}',
  '{0}, {1#}: {2}': '{0}，{1} 个：{2}',
  '{0}, more than {1#}: {2}': '{0}，超过 {1} 个：{2}',
  '{0}, of task {1#}': '{0}，任务 {1} 的',
  'all others': '其余全部',
  'up to row {0#}': '至第 {0} 行',
  viewer: '查看者',
  operator: '操作员',
  admin: '管理员',
  recovery: '恢复码',
  totp: '验证码',
}
