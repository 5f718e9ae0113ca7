package qpgaze

import qupath.lib.gui.QuPathGUI
import qupath.lib.gui.viewer.QuPathViewer
import qupath.lib.objects.PathObjectTools

import java.nio.file.Path

/** Calls that differ between QuPath 0.4 and 0.8, each in one place: what lacks is named, and gone without. */
final class Calls {

    private static Map<Object, String> tools

    private Calls() {}

    /** The .qpproj file of the open project, null where none is open. */
    static Path projectFile(Object qupath) {
        return (Path) Troubles.attempt("the project's file") { qupath.getProject()?.getPath() }
    }

    /** The title of QuPath's menu for extensions: a QuPath in another language has one in that language. */
    static String extensionsTitle() {
        try {
            return Class.forName("qupath.lib.gui.localization.QuPathResources", true, Calls.classLoader)
                .getString("Menu.Extensions")
        } catch (ClassNotFoundException | MissingResourceException e) {
            return "Extensions" // 0.4 speaks English only
        }
    }

    /** The name of a viewer's drawing tool, the same in every language; null where none is. */
    static String tool(Object qupath, Object viewer) {
        return (String) Troubles.attempt("the drawing tool") {
            def tool = viewer.getActiveTool()
            if (tool == null)
                tool = qupath.metaClass.respondsTo(qupath, "getToolManager") ? qupath.getToolManager().getSelectedTool()
                    : qupath.getSelectedTool()
            return tool == null ? null : knownTools().get(tool) ?: (String) tool.getName()
        }
    }

    /** QuPath's own tools by the names of their constants; those of extensions have none. */
    private static Map<Object, String> knownTools() {
        if (tools == null) {
            tools = new IdentityHashMap<>()
            def named = Class.forName("qupath.lib.gui.viewer.tools.PathTools", true, Calls.classLoader)
            for (field in named.getFields())
                if (java.lang.reflect.Modifier.isStatic(field.getModifiers()))
                    tools.put(field.get(null), field.getName().toLowerCase(Locale.ROOT))
        }
        return tools
    }

    /** Width or height, whichever is less, of the smallest object there, image pixels; infinite where none is. */
    static double smallestAt(QuPathViewer viewer, double x, double y) {
        def found = Troubles.attempt("the object that is looked at") {
            def hierarchy = viewer.getHierarchy()
            if (hierarchy == null)
                return null
            return PathObjectTools.getObjectsForLocation(hierarchy, x, y, viewer.getZPosition(), viewer.getTPosition(), 0d)
                .findAll { it.hasROI() && it.getROI().isArea() && !it.isRootObject() }
                .collect { Math.min(it.getROI().getBoundsWidth(), it.getROI().getBoundsHeight()) }.min()
        }
        return found == null ? Double.POSITIVE_INFINITY : found as double
    }

    /** QuPath's version, empty where it does not say. */
    static String version() {
        return Troubles.attempt("version of QuPath") { QuPathGUI.getVersion().toString() } ?: ""
    }
}
