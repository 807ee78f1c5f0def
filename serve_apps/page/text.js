// Words of the page in English and Chinese, and how numbers, powers and ages are written.

const WORDS = {
  en: {
    tagline: "A zero-carbon park, run as one power plant.",
    username: "Name", password: "Password", newPassword: "New password (12 characters or more)",
    logIn: "Log in", logOut: "Log out",
    stop: "Emergency stop", release: "Release …", flows: "Power flow, now",
    dispatch: "Dispatch", aggregate: "Virtual power plant", target: "Net target, kW (+ export)",
    minutes: "Minutes", ramp: "Ramp, kW/min (optional)", reason: "Reason", send: "Send dispatch",
    recent: "Recent dispatches", aggregates: "Virtual power plants", resources: "Resources",
    net: "Net at the grid", generation: "Generation", consumption: "Consumption",
    storage: "Storage", coverage: "Metered", exporting: "exporting", importing: "importing",
    charging: "charging", discharging: "discharging", idle: "idle", balanced: "balanced",
    bus: "Park bus", grid: "Public grid", pv: "Solar", wind: "Wind", chp: "CHP", battery: "Batteries",
    ev_station: "EV charging", flexible_load: "Buildings", heat_pump: "Heat pumps", fleet: "Small devices",
    other: "Other", live: "live", connecting: "connecting", lost: "no feed",
    feedOld: (s) => `The live feed is ${s} old. What you see is the past; dispatch with care.`,
    feedDown: "The feed behind this page is down. What you see is ageing.",
    stoppedText: (n) => `${n} resource(s) stopped by kill switch.`,
    reach: (a, b) => `Can reach ${a} to ${b} now.`, followedBy: "by", held: "free-running",
    coverageFrac: "coverage", targetNow: "target", setpoint: "set-point", age: "age", soc: "SoC",
    store: "store", never: "never heard", of: "of", envelope: "range",
    measured: "measured", asked: "asked", delivered: "delivered", unmetered: "not metered for", inTolerance: "in tolerance",
    left: "left", startsIn: "starts in", ended: "ended", amend: "Amend target", cancel: "Cancel",
    member: "kW", granted: "granted", won: "who commands", why: "why", until: "until",
    shortfall: "short", notPermitted: "Your role may watch, not dispatch.", close: "Close",
    stopTitle: "Stop resources", stopWhat: "What to stop", wholePark: "The whole park",
    stopHelp: "Power goes to zero, or is released where zero is not reachable, until released here.",
    stopConfirm: "Stop now", releaseTitle: "Release the kill switch",
    releaseHelp: "Resources move again on a fresh command only.", releaseConfirm: "Release",
    pending: (n) => `${n} not confirmed yet; the system keeps trying.`,
    awaitsSecond: (id) => `Asked for. A second person must approve it (${id}).`,
    done: (n) => `${n} confirmed.`, unrecorded: "Not recorded in the database: repeat when it is back.",
    override: "Manual override", overrideSet: "Hold", overrideClear: "Let go", powerKw: "Power, kW",
    contenders: "Who wants what", nobody: "Nobody proposes anything.", health: "health",
    quality: "data", rung: "ladder", command: "command", rated: "rated",
    s_good: "good", s_uncertain: "uncertain", s_stale: "stale", s_frozen: "frozen", s_missing: "missing",
    s_ok: "ok", s_degraded: "degraded", s_failed: "failed", s_active: "active", s_default: "default",
    s_failsafe: "failsafe", s_accepted: "accepted", s_delivering: "delivering", s_partial: "partial",
    s_completed: "completed", s_cancelled: "cancelled", s_killed: "stopped",
    s_won: "won", s_lost: "lost", s_narrowed: "narrowed", s_clipped: "clipped", s_refused: "refused",
    renewable: (share) => `${share} solar and wind`, onSite: (share) => `${share} covered on site`,
    fresh: (n, all) => `${n} of ${all} resources fresh`,
    alarms: "Alarms", acknowledge: "Acknowledge", acknowledgeAll: "Acknowledge all",
    members: (n) => `${n} subjects`, more: (n) => `and ${n} more`,
    s_critical: "critical", s_high: "high", s_medium: "medium", s_low: "low",
    s_unacknowledged: "new", s_acknowledged: "acknowledged", s_returned: "over, not acknowledged",
    s_shelved: "shelved", s_suppressed: "in maintenance",
    approvals: "Waiting for a second person", approve: "Approve", reject: "Reject", withdraw: "Withdraw",
    "kill.release": "Release of the kill switch", "aggregation.limits": "New connection limits",
    "aggregation.activate": "Activation", "aggregation.add": "New members at work",
    "resource.widen": "Wider limits", "optimizer.promote": "Promotion of an optimizer", askedBy: (name) => `asked by ${name}`,
    openUntil: (time) => `until ${time}`, unlimited: "none",
    newLimits: (inward, outward) => `import limit ${inward}, export limit ${outward}`,
    approvalReason: "Reason; needed to reject",
    approvalFailed: (why) => `Approved, but refused when it was carried out; nothing was changed: ${why}`,
    none: "No dispatch yet.", unreachable: "The server cannot be reached.",
    since: (time) => `since ${time}`,
    without_store: "The database does not answer: control and stopping go on, other changes are refused.",
    without_actors: "Some actors do not answer: their devices keep the last command for its lifetime.",
    without_read_replica: "The read replica does not answer: the primary database does instead.",
    without_history: "History cannot be read or written: what is measured now waits in memory.",
    without_redis: "Redis does not answer: each server counts limits for itself.",
    without_webhook: "A webhook takes no notices of alarms; they wait.",
    without_smtp: "A mail server takes no notices of alarms; they wait.",
    withoutElse: (name) => `${name} does not answer; everything else goes on.`,
  },
  zh: {
    tagline: "零碳园区，如同一座电厂运行。",
    username: "用户名", password: "密码", newPassword: "新密码（至少 12 个字符）",
    logIn: "登录", logOut: "退出",
    stop: "紧急停机", release: "解除 …", flows: "实时功率流",
    dispatch: "调度", aggregate: "虚拟电厂", target: "净功率目标 kW（+ 上网）",
    minutes: "时长（分钟）", ramp: "爬坡 kW/分（可选）", reason: "原因", send: "下发调度",
    recent: "最近调度", aggregates: "虚拟电厂", resources: "资源",
    net: "并网点净功率", generation: "发电", consumption: "用电",
    storage: "储能", coverage: "计量覆盖", exporting: "上网", importing: "受电",
    charging: "充电", discharging: "放电", idle: "静置", balanced: "平衡",
    bus: "园区母线", grid: "公共电网", pv: "光伏", wind: "风电", chp: "热电联产", battery: "储能电池",
    ev_station: "充电站", flexible_load: "楼宇", heat_pump: "热泵", fleet: "小型设备群",
    other: "其他", live: "实时", connecting: "连接中", lost: "无数据",
    feedOld: (s) => `实时数据已滞后 ${s}。所见为过去状态，请谨慎调度。`,
    feedDown: "本页面的数据源已断开，所见数据正在老化。",
    stoppedText: (n) => `${n} 个资源已被急停。`,
    reach: (a, b) => `当前可达 ${a} 至 ${b}。`, followedBy: "由", held: "自由运行",
    coverageFrac: "覆盖率", targetNow: "目标", setpoint: "设定值", age: "时延", soc: "SoC",
    store: "蓄热", never: "尚无数据", of: "/", envelope: "范围",
    measured: "实测", asked: "要求", delivered: "已交付", unmetered: "无计量时长", inTolerance: "容差内",
    left: "剩余", startsIn: "距开始", ended: "已结束", amend: "修改目标", cancel: "取消",
    member: "kW", granted: "准予", won: "指令方", why: "原因", until: "至",
    shortfall: "缺额", notPermitted: "您的角色仅可查看，不可调度。", close: "关闭",
    stopTitle: "停止资源", stopWhat: "停止范围", wholePark: "整个园区",
    stopHelp: "功率归零（无法归零者释放），直至在此解除。",
    stopConfirm: "立即停止", releaseTitle: "解除急停",
    releaseHelp: "资源仅在收到新指令后恢复动作。", releaseConfirm: "解除",
    pending: (n) => `${n} 个尚未确认，系统将继续重试。`,
    awaitsSecond: (id) => `已提交，需第二人批准（${id}）。`,
    done: (n) => `${n} 个已确认。`, unrecorded: "未写入数据库：恢复后请重复操作。",
    override: "手动接管", overrideSet: "保持", overrideClear: "放开", powerKw: "功率 kW",
    contenders: "各方诉求", nobody: "当前无任何提案。", health: "健康",
    quality: "数据", rung: "层级", command: "指令", rated: "额定",
    s_good: "良好", s_uncertain: "存疑", s_stale: "陈旧", s_frozen: "冻结", s_missing: "缺失",
    s_ok: "正常", s_degraded: "降级", s_failed: "故障", s_active: "受控", s_default: "默认",
    s_failsafe: "安全态", s_accepted: "已接受", s_delivering: "交付中", s_partial: "部分交付",
    s_completed: "已完成", s_cancelled: "已取消", s_killed: "已急停",
    s_won: "胜出", s_lost: "落选", s_narrowed: "收窄", s_clipped: "截断", s_refused: "拒绝",
    renewable: (share) => `风光占 ${share}`, onSite: (share) => `就地供给 ${share}`,
    fresh: (n, all) => `${all} 个资源中 ${n} 个数据新鲜`,
    alarms: "告警", acknowledge: "确认", acknowledgeAll: "全部确认",
    members: (n) => `${n} 个对象`, more: (n) => `另有 ${n} 条`,
    s_critical: "紧急", s_high: "高", s_medium: "中", s_low: "低",
    s_unacknowledged: "新告警", s_acknowledged: "已确认", s_returned: "已恢复，未确认",
    s_shelved: "已搁置", s_suppressed: "检修中",
    approvals: "待第二人批准", approve: "批准", reject: "驳回", withdraw: "撤回",
    "kill.release": "解除急停", "aggregation.limits": "变更并网点限值",
    "aggregation.activate": "启用聚合", "aggregation.add": "运行中新增成员",
    "resource.widen": "放宽限值", "optimizer.promote": "优化器投用", askedBy: (name) => `${name} 申请`,
    openUntil: (time) => `${time} 前有效`, unlimited: "不限",
    newLimits: (inward, outward) => `受电上限 ${inward}，上网上限 ${outward}`,
    approvalReason: "原因；驳回时必填",
    approvalFailed: (why) => `已批准，但执行时被拒绝，未作任何更改：${why}`,
    none: "尚无调度。", unreachable: "无法连接服务器。",
    since: (time) => `自 ${time}`,
    without_store: "数据库无响应：控制与急停照常，其他更改暂被拒绝。",
    without_actors: "部分执行体无响应：其设备在有效期内保持最后指令。",
    without_read_replica: "只读副本无响应：由主数据库代为应答。",
    without_history: "历史数据暂不可读写：当前测量值暂存内存。",
    without_redis: "Redis 无响应：各服务器自行计数限流。",
    without_webhook: "Webhook 未接收告警通知，通知等待中。",
    without_smtp: "邮件服务器未接收告警通知，通知等待中。",
    withoutElse: (name) => `${name} 无响应，其余功能照常。`,
  },
};

// Dependencies whose absence has words of its own.
export const WITHOUT = ["store", "actors", "read-replica", "history", "redis", "webhook", "smtp"];

let language = localStorage.getItem("parkgrid.language")
  || (navigator.language.startsWith("zh") ? "zh" : "en");

export const currentLanguage = () => language;

export function setLanguage(next) {
  language = next;
  localStorage.setItem("parkgrid.language", next);
}

export function t(key, ...args) {
  const word = WORDS[language][key] ?? key;
  return typeof word === "function" ? word(...args) : word;
}

export const status = (value) => WORDS[language][`s_${value}`] ?? value;

export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t);
  }
}

// A name may be written in both languages, "English · 中文".
export function nameOf(name) {
  const parts = name.split(" · ");
  return parts.length === 2 ? parts[language === "zh" ? 1 : 0] : name;
}

export function kw(value, { sign = false } = {}) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const [scaled, unit] = size >= 9999.5 ? [value / 1000, "MW"] : [value, "kW"];
  const digits = size >= 9999.5 ? 2 : size >= 99.95 ? 0 : 1;
  const rounded = Number(scaled.toFixed(digits));
  const text = Math.abs(rounded).toLocaleString("en", {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
  const mark = rounded < 0 ? "−" : sign && rounded > 0 ? "+" : "";
  return `${mark}${text} ${unit}`;
}

// For table cells whose head carries the unit.
export const bare = (value) =>
  value === null || value === undefined ? "–" : value.toFixed(1).replace("-", "−");

export const percent = (frac, digits = 0) => `${(frac * 100).toFixed(digits)} %`;

export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

export function clockTime(instant, zone) {
  return new Date(instant).toLocaleTimeString("en-GB", { timeZone: zone });
}
