package qpgaze

import groovy.transform.CompileStatic
import javafx.application.Platform
import javafx.scene.Scene
import org.slf4j.LoggerFactory
import qupath.lib.gui.QuPathGUI
import qupath.lib.gui.viewer.QuPathViewer

import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.ConcurrentHashMap
import java.util.function.BiConsumer

/**
 * The hook: listens for Python, streams what the viewers show, takes labelling keys, shows labels.
 *
 * One in a QuPath: starting it again replaces the one before. Nothing it does may disturb QuPath;
 * what fails is said once in the log and under Check set-up.
 */
final class Hook implements WireHandler, Images.Listener, Keys.Sink, Sessions.Listener, Drawings.Sink,
    ViewerWatch.Sink, AutoCloseable {

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
    final SessionRun run
    final Setup setup
    final ViewerWatch watch
    private final Objects objects
    private final Keys keys
    private final Drawings drawings
    private final StatusLine statusLine
    private final MenuItems menu
    private final WireServer server
    private final Set<String> refusals = ConcurrentHashMap.newKeySet()
    private Thread atExit
    private volatile boolean closed = false
    private boolean wasFocused = true

    /** Start the hook in QuPath, in place of one that runs: not on the JavaFX thread, which has little of it. */
    static Hook install(QuPathGUI qupath, Path home) {
        def properties = qupath.getStage().getProperties()
        def hook = new Hook(qupath, home)
        Fx.callPatiently {
            def before = properties.remove(PROPERTY)
            if (before instanceof AutoCloseable)
                Troubles.attempt("closing the hook before") { before.close() }
        }
        hook.start()
        Fx.callPatiently {
            hook.menu.install()
            properties.put(PROPERTY, hook)
        }
        if (!hook.settings.readable)
            Say.warning("${home.resolve('settings.json')} is not understood: the usual settings are used, and what " +
                "you choose is forgotten at QuPath's end. Mend or delete it.")
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
        keyLogic = new KeyLogic(Fx.callPatiently { classes() }, settings.keys)
        keys = new Keys(keyLogic, this)
        sessions = new Sessions(this)
        // Its end is told to what is made after it.
        recorder = new Recorder(settings, { int status, String words -> run.ended(status, words) } as Recorder.Ended)
        run = new SessionRun(this, sessions, recorder, new LabelsIn(recorder, images, objects, overlays))
        setup = new Setup(this)
        statusLine = new StatusLine()
        drawings = new Drawings(qupath, this)
        watch = new ViewerWatch(images, this)
        images.setNamer(watch)
        menu = new MenuItems(qupath, this)
        def schema = new Schema(new String(Files.readAllBytes(home.resolve("hook/wire-schema.json")), "UTF-8"))
        server = new WireServer(this, schema, [hook: settings.version, qupath: Calls.version()], Discovery.folders())
        menu.make()
        server.onRefused = this.&refused as BiConsumer<String, String>
    }

    private void start() {
        server.start()
        atExit = new Thread({ run.close(); server.close(); server.join(1000) }, "qpgaze-exit")
        Runtime.getRuntime().addShutdownHook(atExit)
        log.info("qpgaze: the hook listens on port {}", server.port)
    }

    /** Take everything away again: timer, filters, listeners, overlays, menu, threads, socket. */
    @Override
    void close() {
        if (closed)
            return
        closed = true
        server.close()
        run.close()
        try {
            Runtime.getRuntime().removeShutdownHook(atExit)
        } catch (IllegalStateException e) {
            log.debug("qpgaze: Java ends already: {}", e.message)
        }
        Fx.call {
            keys.setActive(false, true)
            for (part in [keys, drawings, statusLine, overlays, menu])
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
    @Override
    @CompileStatic
    void viewerState(Map<String, Object> state) {
        server.publishState(state)
        run.journal?.state(state)
        watchFocus()
    }

    /** At each pulse, and on the JavaFX thread. */
    @Override
    @CompileStatic
    void pulse(List<QuPathViewer> viewers) {
        drawings.pulse(viewers)
    }

    private void sendEvent(long tUs, String kind, Map<String, Object> data) {
        server.publishEvent(tUs, kind, data)
        run.journal?.event(tUs, kind, data)
    }

    /** The keyboard went elsewhere: a key that is held would never come up. */
    @CompileStatic
    private void watchFocus() {
        if (!keys.active)
            return
        Set<Scene> open = scenes()
        boolean focused = false
        for (Scene scene : open)
            focused |= scene.getWindow() != null && scene.getWindow().isFocused()
        if (wasFocused && !focused)
            keys.interrupted(false)
        wasFocused = focused
        keys.refresh(open)
    }

    @CompileStatic
    private Set<Scene> scenes() {
        Set<Scene> open = new LinkedHashSet<>()
        for (QuPathViewer viewer : images.viewers())
            if (viewer.getView().getScene() != null)
                open.add(viewer.getView().getScene())
        return open
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
    Map<String, Object> part(Map<String, Object> message) {
        return objects.part(message)
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
        watchAnew()
    }

    @Override
    void clientGone(String client, boolean saidBye) {
        if (sessions.gone(client) && !closed)
            WireServer.daemon("qpgaze-gone") { run.recorderGone(saidBye) }.start()
    }

    /** A connection was refused: of another version a person must know, once. */
    private void refused(String code, String message) {
        if (code == "version" && refusals.add(message))
            Say.trouble("A qpgaze of another version wanted to connect and was refused.\n\n${message}\n\n" +
                "Install the menu again from the qpgaze that you use, then start QuPath anew.")
        else if (code == "token" && refusals.add(code))
            Say.warning("Another program wanted to talk to qpgaze in QuPath without its password, and was refused. If that " +
                "was none of yours, tell whoever looks after your computer.")
    }

    /** Look at the viewers while somebody watches, a journal included; that one begins with all of them. */
    void watchAnew() {
        Fx.later("the viewers' timer") {
            def journal = run.journal
            if (!closed && (journal != null || ["viewer", "images", "events"].any { server.watched(it) }))
                watch.start()
            else {
                watch.stop()
                drawings.close()
            }
            if (journal != null)
                watch.states().each { journal.state(it) }
        }
    }

    // -- what happens in QuPath ----------------------------------------------------------------

    @Override
    void imageEvent(String kind, Images.Open image) {
        sendEvent(server.now(), kind, [key: image.key, name: image.identity.name, entry_id: image.identity.entry_id,
                                       revision: image.revision.get()])
        if (kind == "image closed")
            overlays.forget(image.key)
    }

    @Override
    void imagesChanged() {
        overlays.refresh()
        // Not from here: the answer asks for the JavaFX thread in turn.
        server.publishImages()
        showStatus()
    }

    @Override
    void drawn(long tUs, QuPathViewer viewer, Map<String, Object> data) {
        def image = viewer.getImageData() == null ? null : images.of(viewer.getImageData())
        sendEvent(tUs, "drawing", data + [viewer: watch.nameOf(viewer), key: image?.key, name: image?.identity?.name])
    }

    @Override
    void labelled(long tUs, KeyLogic.Answer answer) {
        def viewer = qupath.getViewer()
        if (answer.data.event == "mark" && !images.viewers().any { it.getImageData() != null }) {
            statusLine.flash("no slide is open: nothing was labelled")
            return
        }
        def data = new LinkedHashMap(answer.data)
        if (viewer != null)
            data.viewer = watch.nameOf(viewer)
        sendEvent(tUs, "label", data)
        showStatus()
        statusLine.flash(answer.text)
    }

    @Override
    void sessionChanged(String before, String now) {
        Fx.later("the session") {
            if (closed)
                return
            if (now == "recording" && before != "recording" && before != "paused") {
                keyLogic.configure(classes(), settings.keys)
                if (keyLogic.current == null)
                    Say.warning("This project has no classes, so no key labels anything. Add one to the list in QuPath's " +
                        "tab Annotations, or under 'Keys and classes', and start anew.")
                control(overlays.gazeShown ? "show_gaze" : "hide_gaze") // a recorder sends it only where it is seen
            }
            if (now != "lost")
                run.endJournal()
            keys.setActive(run.keyed, now != "paused")
            if (keys.active)
                keys.refresh(scenes())
            menu.refresh(now)
            showStatus()
            if (before != now && (before == "lost" || now == "lost"))
                watchAnew()
        }
    }

    private void showStatus() {
        boolean shown = !(sessions.state in ["idle"])
        def word = [starting: "starting", recording: "● recording", paused: "paused", stopping: "stopping",
                    labelling: "labels", lost: "✗ no recorder"][sessions.state]
        def tracker = sessions.state in ["recording", "paused"] ? setup.trackers()[settings.source] : null
        def text = [word, keyLogic.current, tracker, sessions.text].findAll { it }.join("   ·   ")
        statusLine.show(shown ? images.viewers() : [], shown ? text : "")
    }

    // -- the menu ------------------------------------------------------------------------------

    List<String> classes() {
        return settings.classes ?: classesOfProject()
    }

    List<String> classesOfProject() {
        // QuPath marks by a star what is to be left out of measuring, such as Ignore*.
        return qupath.getAvailablePathClasses().collect { it?.toString() }
            .findAll { it && it != "Unclassified" && !it.endsWith("*") }
    }

    void keysChanged() {
        keyLogic.configure(classes(), settings.keys)
        menu.refresh(sessions.state)
        showStatus()
    }

    void pickClass(String name) {
        keyLogic.pick(name)
        menu.refresh(sessions.state)
        showStatus()
    }

    void showGaze(boolean shown) {
        overlays.gazeShown = shown
        control(shown ? "show_gaze" : "hide_gaze")
        settings.keep("show_gaze", shown)
    }

    void showLabels(boolean shown) {
        overlays.labelsShown = shown
        settings.keep("show_labels", shown)
    }

    void control(String action, Map<String, Object> data = [:]) {
        server.publishControl(action, data)
    }

    /** Whether a recorder is connected that waits for its start. */
    boolean someoneWaits() {
        return sessions.waiting != null && !recorder.running
    }

    Path getDiscoveryFile() {
        return server.file
    }

    int getPort() {
        return server.port
    }

    Collection<String> clientNames() {
        return server.losses().keySet()
    }
}
