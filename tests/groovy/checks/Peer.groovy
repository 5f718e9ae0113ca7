package checks

import qpgaze.Discovery
import qpgaze.Json
import qpgaze.Schema
import qpgaze.WireFault
import qpgaze.WireHandler
import qpgaze.WireServer

import java.nio.file.Path
import java.util.concurrent.CopyOnWriteArrayList

/**
 * The hook's end of the wire without a QuPath, for Python to talk to.
 *
 *     Peer SCHEMA FOLDER      what it is told comes as lines of JSON on standard input, each is answered
 */
class Peer implements WireHandler {

    final List<Map<String, Object>> notes = new CopyOnWriteArrayList<>()
    final List<Map<String, Object>> asked = new CopyOnWriteArrayList<>()
    final List<List> left = new CopyOnWriteArrayList<>()
    volatile Map<String, Object> shown = view(1)
    WireServer server

    static Map<String, Object> view(long t) {
        return [t_us: t, viewer: "1", image: [name: "slide ä", width_px: 2000L, height_px: 1500L, entry_id: "1", uris: []],
                corners_image_px: [[t as double, 0d], [t + 800d, 0d], [t as double, 600d]], downsample: 1d,
                bounds_screen_px: [100d, 50d, 800d, 600d]]
    }

    @Override
    List<Map<String, Object>> states() {
        return [shown]
    }

    @Override
    List<Map<String, Object>> images() {
        return [[key: "1", image: shown.image, changed: false, revision: 3L, viewers: ["1"], project_uri: null,
                 pixel_size_um: [0.25d, 0.25d]]]
    }

    @Override
    Map<String, Object> part(Map<String, Object> message) {
        if (message.put.any { it.get("properties").get("name") == "unreadable" })
            throw new WireFault("malformed", "That shape cannot be read.")
        return [put: message.put ?: [], replace: message.replace ?: [], remove: message.remove ?: [], image: message.image,
                type: message.type]
    }

    @Override
    Map<String, Object> request(Map<String, Object> message) {
        asked << message
        if (message.image != "1")
            throw new WireFault("no_image", "No image ${message.image} is open.")
        if (message.type == "save")
            throw new WireFault("read_only", "The folder is read-only.")
        if (message.type == "objects")
            throw new ArithmeticException("by zero")
        return [put: message.put.size() as long, replaced: message.replace.size() as long,
                removed: message.remove.size() as long, revision: 4L]
    }

    @Override
    void note(Map<String, Object> message, String client) {
        notes << message
    }

    @Override
    void clientsChanged() {}

    @Override
    void clientGone(String client, boolean saidBye) {
        left << [client, saidBye]
    }

    /** What Python asks of this end. */
    Object told(Map<String, Object> line) {
        switch (line.told) {
            case "show":
                for (long t = line.start as long; t < (line.stop as long); t++) {
                    shown = view(t)
                    server.publishState(shown)
                }
                return null
            case "event":
                server.publishEvent(7, "label", [event: "mark", class: "Pearl"])
                server.publishControl("stop")
                return null
            case "state":
                return [notes: notes, asked: asked*.type, left: left, losses: server.losses(), port: server.port,
                        threads: Thread.allStackTraces.keySet().findAll { it.name.startsWith("qpgaze") }*.name]
            case "folders":
                return Discovery.folders(line.system, line.environ, line.home)*.toString()
            case "judge":
                return line.lines.collect { String text ->
                    try {
                        schema.decode(text.getBytes("UTF-8"))
                        return true
                    } catch (WireFault e) {
                        return false
                    }
                }
            case "close":
                server.close()
                server.join(5000)
                return null
        }
        throw new IllegalArgumentException("Told ${line.told}")
    }

    Schema schema

    static void main(String[] given) {
        def peer = new Peer()
        peer.schema = new Schema(new File(given[0]).getText("UTF-8"))
        peer.server = new WireServer(peer, peer.schema, [hook: "0.1.0", qupath: "0.6.0"], [Path.of(given[1])])
        peer.server.start()
        def out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8")
        out.println(Json.text([file: peer.server.file.toString()]))
        System.in.eachLine("UTF-8") { out.println(Json.text([answer: peer.told(Json.parse(it) as Map)])) }
        // Standard input has ended: nothing but daemon threads may be left.
    }
}
