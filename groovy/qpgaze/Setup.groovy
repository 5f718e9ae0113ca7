package qpgaze

/** What is set up before a session: tracker, monitor, calibration, keys. From the menu. */
final class Setup {

    private static final Map<String, String> TRACKERS = [
        tobii: "Tobii", gazepoint: "Gazepoint", lsl: "Lab Streaming Layer", mouse: "Mouse (to practise)"]
    private static final long SITTING_S = 900

    private final Hook hook
    private volatile boolean busy = false

    Setup(Hook hook) {
        this.hook = hook
    }

    /** The trackers that can be chosen, by what qpgaze calls them. */
    Map<String, String> trackers() {
        def known = new LinkedHashMap<String, String>(TRACKERS)
        def chosen = hook.settings.source
        if (!known.containsKey(chosen))
            known[chosen] = chosen
        return known
    }

    void chooseTracker(String source) {
        hook.settings.keep("source", source)
    }

    /** Whether the points are shown: the tracker is in use then. */
    boolean isBusy() {
        return busy
    }

    /** Ask for the tracker's monitor; `then` is done once it is known. */
    void chooseMonitor(Closure then = null) {
        def monitors = new Monitors(hook.qupath.getStage())
        monitors.choose { chosen ->
            WireServer.daemon("qpgaze-monitor") { keepMonitor(monitors, chosen, [], then) }.start()
        }
    }

    /** The recorder's program keeps it: it knows the monitor by its other names, too. */
    private void keepMonitor(Monitors monitors, Map<String, Object> chosen, List<String> size, Closure then) {
        def line = ["monitor", "--bounds"] + chosen.bounds.collect { it as String } +
            ["--scale", chosen.scale as String] + (size ? ["--size-mm"] + size : [])
        def answer = hook.recorder.ask(line, 60)
        if (answer.status == 0) {
            hook.settings.keep("monitor", chosen)
            Say.notice("The eye tracker's monitor: ${answer.words}")
            then?.call()
        } else if (!size && answer.err.contains("--size-mm"))
            Fx.later("the size of the monitor") {
                monitors.askSize(LabelReport.plain(answer.words)) { mm ->
                    WireServer.daemon("qpgaze-monitor") { keepMonitor(monitors, chosen, mm, then) }.start()
                }
            }
        else
            Say.trouble("No monitor was chosen.\n\n${LabelReport.plain(answer.words)}")
    }

    void calibrate() {
        sitting("calibrate", "The eye tracker was not calibrated.")
    }

    void measure() {
        sitting("validate-gaze", "The accuracy was not measured.")
    }

    /** Run a verb that shows its points full screen; its own words say what came of it. */
    private void sitting(String verb, String failure) {
        if (busy)
            return
        busy = true
        Say.notice("Look at the points on the eye tracker's monitor. Esc ends it.")
        WireServer.daemon("qpgaze-sitting") {
            try {
                def answer = hook.recorder.ask([verb, "--source", hook.settings.source] + hook.settings.pythonArguments,
                    SITTING_S)
                // 1: measured, and found poor.
                if (answer.status == 0 || (answer.status == 1 && answer.out))
                    Say.message("qpgaze", LabelReport.plain(withoutTable(answer.out)))
                else if (answer.words.startsWith("Cancelled"))
                    Say.notice(answer.words)
                else if (answer.err.contains("--size-mm")) // asked for here, and then it goes on
                    Fx.later("the monitor") { chooseMonitor { sitting(verb, failure) } }
                else
                    Say.trouble("${failure}\n\n${LabelReport.plain(answer.words)}")
            } finally {
                busy = false
            }
        }.start()
    }

    /** The sentences of a report; the table below them is for a terminal. */
    static String withoutTable(String text) {
        return text.trim().readLines().takeWhile { !(it ==~ /\s*point\s+off.*/) }.join("\n").trim()
    }

    void chooseKeys() {
        KeysDialog.show(hook.qupath.getStage(), hook.settings.keys, hook.settings.classes, hook.classesOfProject()) {
            keys, classes ->
            hook.settings.keep("keys", keys)
            hook.settings.keep("classes", classes)
            hook.keysChanged()
        }
    }

    void check() {
        Say.notice("Looking at the set-up ...")
        WireServer.daemon("qpgaze-doctor") {
            def answer = hook.recorder.ask(["doctor", "--json"] + hook.settings.pythonArguments, 60)
            def checks = (answer.json()?.checks ?: []) as List<Map>
            def text = checks ? checks.collect { sentence(it) }.join("\n") : answer.words
            def own = Troubles.said().collect { "- ${it}" }.join("\n")
            Say.message("qpgaze: set-up", text + (own ? "\n\nIn QuPath:\n${own}" : ""))
        }.start()
    }

    private static String sentence(Map check) {
        def sign = [ok: "\u2713", missing: "\u2717"][check.state as String] ?: "\u2022"
        def how = check.how && check.state != "ok" ? "\n      ${check.how}" : ""
        return "${sign} ${check.name}: ${check.text}${how}"
    }

    void about() {
        def cost = hook.watch.cost()
        Say.message("About qpgaze", "qpgaze ${hook.settings.version ?: '(version unknown)'}, hook in QuPath " +
            "${Calls.version()}\nPort ${hook.port}, clients: ${hook.clientNames().join(', ') ?: 'none'}\n" +
            "Looks at the viewers: ${cost.pulses} so far, ${cost.mean_us} us each")
    }
}
