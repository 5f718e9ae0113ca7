package qpgaze

import javafx.application.Platform
import org.slf4j.LoggerFactory
import qupath.lib.gui.QuPathGUI

import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.LinkedBlockingQueue

/**
 * The hook: listens for Python, streams what the viewers show, takes labelling keys, shows labels.
 *
 * One in a QuPath: starting it again replaces the one before. Nothing it does may disturb QuPath;
 * what fails is said once in the log and under Check set-up.
 */
final class Hook implements WireHandler, Images.Listener, Keys.Sink, Sessions.Listener, Recorder.Ended,
    AutoCloseable {

    /** Under this name the stage keeps what ends the running hook. */
    static final String PROPERTY = "qpgaze.hook"
    private static final log = LoggerFactory.getLogger("qpgaze")

    final QuPathGUI qupath
    final Settings settings
    final Images images
    final Overlays overlays
    final KeyLogic keyLogic
    final Sessions sessions
    final Recorder recorder
    final ViewerWatch watch
    private final Objects objects
    private final Keys keys
    private final StatusLine statusLine
    private final MenuItems menu
    private final WireServer server
    private final LinkedBlockingQueue<Map<String, Object>> states = new LinkedBlockingQueue<>(2048)
    private Thread sender
    private Thread atExit
    private volatile boolean closed = false
    private boolean wasFocused = true

    /** Start the hook in QuPath, in place of one that runs: on the JavaFX thread. */
    static Hook install(QuPathGUI qupath, Path home) {
        def properties = qupath.getStage().getProperties()
        def before = properties.remove(PROPERTY)
        if (before instanceof AutoCloseable)
            Troubles.attempt("closing the hook before") { before.close() }
        def hook = new Hook(qupath, home)
        hook.start()
        properties.put(PROPERTY, hook)
        return hook
    }

    private Hook(QuPathGUI qupath, Path home) {
        this.qupath = qupath
        settings = new Settings(home)
        images = new Images(qupath, this)
        objects = new Objects(images)
        overlays = new Overlays(images)
        overlays.gazeShown = settings.flag("show_gaze", false)
        overlays.labelsShown = settings.flag("show_labels", true)
        keyLogic = new KeyLogic(classes(), settings.keys)
        keys = new Keys(keyLogic, this)
        sessions = new Sessions(this)
        recorder = new Recorder(settings, this)
        statusLine = new StatusLine()
        watch = new ViewerWatch(images, this.&queueState)
        images.setNamer { watch.nameOf(it) }
        menu = new MenuItems(qupath, this)
        def schema = new Schema(new String(Files.readAllBytes(home.resolve("hook/wire-schema.json")), "UTF-8"))
        server = new WireServer(this, schema, [hook: settings.version, qupath: qupathVersion()], Discovery.folders())
    }

    private void start() {
        server.start()
        sender = WireServer.daemon("qpgaze-states") { sendStates() }
        sender.start()
        atExit = new Thread({ server.close(); server.join(1000) }, "qpgaze-exit")
        Runtime.getRuntime().addShutdownHook(atExit)
        menu.install()
        log.info("qpgaze: the hook listens on port {}", server.port)
    }

    /** Take everything away again: timer, filters, listeners, overlays, menu, threads, socket. */
    @Override
    void close() {
        if (closed)
            return
        closed = true
        server.close()
        recorder.close()
        try {
            Runtime.getRuntime().removeShutdownHook(atExit)
        } catch (IllegalStateException e) {
            log.debug("qpgaze: Java ends already: {}", e.message)
        }
        sender.interrupt()
        Fx.call {
            keys.setActive(false, true)
            for (part in [keys, statusLine, overlays, menu])
                Troubles.attempt("closing") { part.close() }
            watch.forget()
            images.close()
            def properties = qupath.getStage().getProperties()
            if (properties.get(PROPERTY).is(this))
                properties.remove(PROPERTY)
        }
    }

    // -- the stream ----------------------------------------------------------------------------

    /** On the JavaFX thread: nothing is encoded or sent there. */
    private void queueState(Map<String, Object> state) {
        if (!states.offer(state)) {
            states.poll()
            states.offer(state)
        }
        watchFocus()
    }

    private void sendStates() {
        try {
            while (!closed) {
                def state = states.take()
                Troubles.attempt("viewer states") { server.publishState(state) }
            }
        } catch (InterruptedException e) {
            log.debug("qpgaze: the stream ends")
        }
    }

    /** The keyboard went elsewhere: a key that is held would never come up. */
    private void watchFocus() {
        if (!keys.active)
            return
        def open = scenes()
        boolean focused = open.any { it.getWindow()?.isFocused() }
        if (wasFocused && !focused)
            keys.interrupted(false)
        wasFocused = focused
        keys.refresh(open)
    }

    private Set scenes() {
        return images.viewers().collect { it.getView().getScene() }.findAll { it != null } as LinkedHashSet
    }

    // -- what the wire asks --------------------------------------------------------------------

    @Override
    List<Map<String, Object>> states() {
        return Fx.call {
            images.pulse()
            return watch.states()
        }
    }

    @Override
    List<Map<String, Object>> images() {
        if (!Platform.isFxApplicationThread())
            Fx.call { images.pulse() }
        return images.toWire()
    }

    @Override
    Map<String, Object> request(Map<String, Object> message) {
        Fx.call { images.pulse() }
        if (message.type == "objects")
            return objects.page(message)
        if (message.type == "change_objects")
            return objects.change(message)
        if (message.type == "save") {
            def answer = objects.save(message)
            Fx.later("images") { images.pulse() }
            return answer
        }
        throw new WireFault("unknown", "'${message.type}' is not done here.")
    }

    @Override
    void note(Map<String, Object> message, String client) {
        if (message.type == "show_gaze")
            Fx.later("gaze over the slide") {
                overlays.showGaze(watch.named(message.viewer as String), message.point_image_px as List,
                    (message.radius_image_px ?: 0) as double, message.hint as String)
            }
        else if (message.type == "show_labels") {
            images.withKey(message.image as String)
            overlays.changeLabels(message.image as String, (message.labels ?: []) as List,
                (message.remove ?: []) as List, message.clear as boolean)
        } else
            sessions.said(client, message)
    }

    @Override
    void clientsChanged() {
        boolean watched = ["viewer", "images", "events"].any { server.watched(it) }
        Fx.later("the viewers' timer") {
            if (watched && !closed)
                watch.start()
            else
                watch.stop()
        }
    }

    @Override
    void clientGone(String client, boolean saidBye) {
        if (sessions.gone(client) && !closed)
            Say.trouble("The recorder is gone in the middle of the session" +
                (saidBye ? "." : ": its program ended.") +
                "\n\nWhat it wrote until then is kept. Start a new gaze session to go on.")
    }

    // -- what happens in QuPath ----------------------------------------------------------------

    @Override
    void imageEvent(String kind, Images.Open image) {
        server.publishEvent(server.now(), kind,
            [key: image.key, name: image.identity.name, revision: image.revision.get()])
        if (kind == "image closed")
            overlays.forget(image.key)
    }

    @Override
    void imagesChanged() {
        overlays.refresh()
        // Not from here: the answer asks for the JavaFX thread in turn.
        server.publishImages()
        if (keys.active)
            statusLine.show(images.viewers(), statusText())
    }

    @Override
    void labelled(long tUs, KeyLogic.Answer answer) {
        def viewer = qupath.getViewer()
        def data = new LinkedHashMap(answer.data)
        if (viewer != null)
            data.viewer = watch.nameOf(viewer)
        server.publishEvent(tUs, "label", data)
        statusLine.show(images.viewers(), statusText())
        statusLine.flash(answer.text)
    }

    @Override
    void sessionChanged(String before, String now) {
        Fx.later("the session") {
            if (closed)
                return
            if (now == "recording" && before != "recording")
                keyLogic.configure(classes(), settings.keys)
            keys.setActive(now == "recording", now != "paused")
            if (keys.active)
                keys.refresh(scenes())
            menu.refresh(now)
            statusLine.show(images.viewers(), now == "idle" ? "" : statusText())
        }
    }

    private String statusText() {
        def word = [starting: "starting", recording: "● recording", paused: "paused", stopping: "stopping"][sessions.state]
        return [word, keyLogic.current, sessions.text].findAll { it }.join("   ·   ")
    }

    // -- the menu ------------------------------------------------------------------------------

    List<String> classes() {
        def named = settings.classes
        if (named != null)
            return named
        // QuPath marks by a star what is to be left out of measuring, such as Ignore*.
        return qupath.getAvailablePathClasses().collect { it?.toString() }
            .findAll { it && it != "Unclassified" && !it.endsWith("*") }
    }

    void pickClass(String name) {
        keyLogic.pick(name)
        menu.refresh(sessions.state)
        if (!sessions.idle)
            statusLine.show(images.viewers(), statusText())
    }

    void showGaze(boolean shown) {
        overlays.gazeShown = shown
        settings.keep("show_gaze", shown)
    }

    void showLabels(boolean shown) {
        overlays.labelsShown = shown
        settings.keep("show_labels", shown)
    }

    void control(String action) {
        server.publishControl(action, [:])
    }

    void startSession() {
        if (!sessions.idle)
            return
        sessions.starting()
        WireServer.daemon("qpgaze-start") {
            try {
                if (server.watched("events") && !recorder.running)
                    server.publishControl("start", [class: keyLogic.current]) // a recorder that waits already
                else
                    recorder.start(server.file, [])
            } catch (IOException e) {
                sessions.failed()
                Say.trouble("The recorder does not start.\n\n${e.message}")
            }
        }.start()
    }

    void pauseSession() {
        server.publishControl(sessions.state == "paused" ? "resume" : "pause", [:])
    }

    void stopSession() {
        boolean began = sessions.state in ["recording", "paused"]
        sessions.stopping()
        server.publishControl("stop", [:])
        recorder.stop(began ? 15_000 : 1_000)
        if (!recorder.running && !began)
            sessions.failed()
    }

    @Override
    void ended(int status, String lastWords) {
        def before = sessions.state
        sessions.failed()
        if (closed)
            return
        if (before == "starting" || (status != 0 && before != "stopping"))
            Say.trouble("The recorder ended before the session did (status ${status}).\n\n${lastWords}")
        else
            Say.notice("The gaze session has ended.")
    }

    void checkSetup() {
        WireServer.daemon("qpgaze-doctor") {
            def text = recorder.ask(["doctor"], 60)
            def own = Troubles.said().collect { "- ${it}" }.join("\n")
            Say.message("qpgaze: set-up", text + (own ? "\n\nIn QuPath:\n${own}" : ""))
        }.start()
    }

    void about() {
        Say.message("About qpgaze", "qpgaze ${settings.version ?: '(version unknown)'}, hook in QuPath " +
            "${qupathVersion()}\nPort ${server.port}, clients: ${server.losses().keySet().join(', ') ?: 'none'}")
    }

    private static String qupathVersion() {
        return Troubles.attempt("version of QuPath") { QuPathGUI.getVersion().toString() } ?: ""
    }
}
