// For test_hook_manners_left.py: how much hangs on QuPath's parts, as JSON; 'gui' is QuPath.
def field = { Object one, String name ->
    for (Class c = one.getClass(); c != null; c = c.getSuperclass()) {
        def found = c.getDeclaredFields().find { it.getName() == name }
        if (found != null) {
            found.setAccessible(true)
            return found.get(one)
        }
    }
    throw new IllegalStateException("${one.getClass()} has no ${name}")
}
// Filters and handlers of every kind of event.
def handlers = { Object target ->
    def dispatcher = field(target, "internalEventDispatcher")
    if (dispatcher == null)
        return 0
    def map = field(field(dispatcher, "eventHandlerManager"), "eventHandlerMap")
    int count = 0
    map.values().each { composite ->
        for (def one = field(composite, "firstRecord"); one != null; one = field(one, "nextRecord"))
            count++
        count += field(composite, "eventHandler") == null ? 0 : 1
    }
    return count
}
def stage = gui.getStage()
def said = [:]
said["stage: handlers"] = handlers(stage)
said["scene: handlers"] = handlers(stage.getScene())
said["stage: properties"] = stage.getProperties().keySet().collect { it.toString() }.sort()
def viewers = gui.metaClass.respondsTo(gui, "getAllViewers") ? gui.getAllViewers() : gui.getViewers()
viewers.eachWithIndex { v, i ->
    said["viewer ${i}: handlers"] = handlers(v.getView())
    said["viewer ${i}: listeners"] = field(v, "listeners").size()
    said["viewer ${i}: nodes"] = v.getView().getChildrenUnmodifiable().collect { it.getClass().getName() }
    said["viewer ${i}: overlays"] = v.getCustomOverlayLayers().size()
    if (v.getHierarchy() != null) {
        said["viewer ${i}: hierarchy"] = field(v.getHierarchy(), "listeners").size()
        said["viewer ${i}: selection"] = field(v.getHierarchy().getSelectionModel(), "listeners").size()
        said["viewer ${i}: image data"] = field(v.getImageData(), "pcs").getPropertyChangeListeners().length
        said["viewer ${i}: changed"] = v.getImageData().isChanged()
    }
}
said["menu"] = gui.getMenu("Extensions", true).getItems()*.getText()
said["windows"] = javafx.stage.Window.getWindows().size()
def toolkit = com.sun.javafx.tk.Toolkit.getToolkit()
def clock = toolkit.metaClass.respondsTo(toolkit, "getPrimaryTimer") ? toolkit.getPrimaryTimer() : toolkit.getMasterTimer()
said["timers"] = field(clock, "animationTimersLength")
def hooks = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks")
hooks.setAccessible(true)
said["at exit"] = hooks.get(null).keySet().collect { it.getClass().getName() + " " + it.getName() }.sort()
said["threads"] = Thread.getAllStackTraces().keySet()*.getName().findAll { it.startsWith("qpgaze") }.sort()
return qupath.lib.io.GsonTools.getInstance().toJson(said)
