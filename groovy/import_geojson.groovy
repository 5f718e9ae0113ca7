/*
 * Import objects that qpgaze exported (qpgaze project export PROJECT OUT.geojson) into the open image.
 *
 * Drop this file onto QuPath 0.4 - 0.7 (it opens in the script editor), press Run, choose the file.
 * Without a window: QuPath script -p project.qpproj -i IMAGE -s -a OUT.geojson import_geojson.groovy
 *
 * An object whose id the image has already is left as it is, so running it twice adds nothing twice.
 * Annotations, detections, tiles and cells with their nuclei come in, each under the object it lay
 * under. A feature that this QuPath cannot read is named and left out; the others are imported. So is
 * a TMA core that the image lacks, since a core belongs to a grid: what lay in it comes in without it.
 * Nothing is saved here (but for -s): look at the objects first, then File > Save.
 */

import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObject

import java.util.concurrent.FutureTask

def imageData = getCurrentImageData()
if (imageData == null) {
    println "Open the image first, then run this script again."
    return
}
def file = chooseFile(binding.hasVariable("args") ? binding.getVariable("args") : null)
if (file == null)
    return
if (!file.isFile()) {
    println "There is no file ${file}."
    return
}

def hierarchy = imageData.getHierarchy()
def known = [:]
hierarchy.getAllObjects(false).each { known[it.getID()] = it }

def objects = readObjects(file)
restoreMetadata(file, objects)

int added = 0
int skipped = 0
int cores = 0
def fresh = []
// Each step: an object and the one it is to lie under (null: the image itself).
def todo = new ArrayDeque()
objects.each { todo.add([it, null]) }
while (!todo.isEmpty()) {
    def (object, above) = todo.poll()
    if (object.isRootObject())
        continue
    def there = known[object.getID()]
    def children = new ArrayList(object.getChildObjects())
    if (there != null) {
        skipped++
        children.each { todo.add([it, there]) }
        continue
    }
    if (object.isTMACore()) {
        println "Left out the TMA core ${object.getName()}: this image has no such core."
        cores++
        children.each { todo.add([it, above]) }
        continue
    }
    // Children come one by one, so that one that is there already is not added again.
    object.removeChildObjects(children)
    children.each { todo.add([it, object]) }
    known[object.getID()] = object
    added++
    if (above == null)
        fresh << object
    else
        above.addChildObject(object)
}
hierarchy.addObjects(fresh)
hierarchy.fireHierarchyChangedEvent(this)
println "Added ${added} objects, left ${skipped} as they were" + (cores ? " and ${cores} TMA cores out." : ".")


/* The file from the command line, else one that the person chooses; null when they choose none. */
File chooseFile(args) {
    if (args != null && args.size() > 0)
        return new File(args[0] as String)
    def ask = new FutureTask<File>({
        def chooser = new javafx.stage.FileChooser()
        chooser.setTitle("GeoJSON of qpgaze")
        chooser.getExtensionFilters().add(
            new javafx.stage.FileChooser.ExtensionFilter(
                "GeoJSON", "*.geojson", "*.json", "*.geojson.gz"))
        return chooser.showOpenDialog(null)
    } as java.util.concurrent.Callable<File>)
    if (javafx.application.Platform.isFxApplicationThread())
        ask.run()
    else
        javafx.application.Platform.runLater(ask)
    return ask.get()
}

/* One feature after the other: QuPath 0.6 gives up the whole file for one bad ring. */
List readObjects(File file) {
    def gson = GsonTools.getInstance()
    def json = gson.fromJson(readText(file), com.google.gson.JsonElement)
    if (json.isJsonObject() && json.has("features"))
        json = json.get("features")
    def found = []
    (json.isJsonArray() ? json : [json]).eachWithIndex { feature, place ->
        try {
            listMeasurements(feature)
            def object = gson.fromJson(feature, PathObject)
            if (object.isRootObject())
                found.addAll(object.getChildObjects())
            else if (object.getROI() == null || object.getROI().isEmpty())
                throw new IllegalArgumentException("its shape is empty")
            else
                found << object
        } catch (Exception e) {
            def name = ""
            try { name = feature.get("properties").get("name").getAsString() } catch (Exception ignored) { }
            println "Left out feature ${place + 1} ${name}: ${e.getMessage()}"
        }
    }
    return found
}

/* QuPath 0.4 throws at "NaN" among measurements by name, but not in a list of them. */
void listMeasurements(top) {
    def todo = [top]
    while (!todo.isEmpty()) {
        def feature = todo.pop()
        def properties = feature.isJsonObject() ? feature.get("properties") : null
        if (properties == null || !properties.isJsonObject())
            continue
        for (below in [properties.get("childObjects"), properties.get("children")])
            if (below != null && below.isJsonArray())
                below.each { todo.add(it) }
        def named = properties.get("measurements")
        if (named == null || !named.isJsonObject())
            continue
        if (!named.entrySet().any { it.value.isJsonPrimitive() && it.value.isString() })
            continue
        def listed = new com.google.gson.JsonArray()
        named.entrySet().each {
            def one = new com.google.gson.JsonObject()
            one.addProperty("name", it.key)
            one.add("value", it.value)
            listed.add(one)
        }
        properties.add("measurements", listed)
    }
}

/* Unpacked where the file is a .gz. */
String readText(File file) {
    file.withInputStream { raw ->
        def stream = file.getName().endsWith(".gz") ? new java.util.zip.GZIPInputStream(raw) : raw
        return stream.getText("UTF-8")
    }
}

/* QuPath 0.4 reads an object's metadata from no GeoJSON: set what the file says. */
void restoreMetadata(File file, objects) {
    def said = [:]
    def features = [GsonTools.getInstance().fromJson(readText(file), Object)]
    while (!features.isEmpty()) {
        def feature = features.pop()
        if (feature instanceof List) {
            features.addAll(feature)
            continue
        }
        if (!(feature instanceof Map))
            continue
        features.addAll(feature.features ?: [])
        features.addAll(feature.properties?.childObjects ?: [])
        if (feature.id != null && feature.properties?.metadata)
            said[feature.id as String] = feature.properties.metadata
    }
    def todo = new ArrayList(objects)
    while (!todo.isEmpty()) {
        def object = todo.pop()
        todo.addAll(object.getChildObjects())
        said[object.getID().toString()]?.each { key, value ->
            if (object.metaClass.respondsTo(object, "getMetadata")) {
                if (object.getMetadata()[key] == null)
                    storeMetadata(object, key, value as String)
            } else
                storeMetadata(object, key, value as String)
        }
    }
}

/* Protected in QuPath, and the only way that works for detections too. */
void storeMetadata(object, String key, String value) {
    def method = qupath.lib.objects.PathObject.getDeclaredMethod("storeMetadataValue", String, String)
    method.setAccessible(true)
    method.invoke(object, key, value)
}
